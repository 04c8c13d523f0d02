#pragma once

#include <string>

#include "base/file_io.h"
#include "flyweight/result.h"

// What outputs share about the names that they take.

namespace flyweight {

/// Where an output goes. Names are resolved in the open directory, so that neither chdir nor a renamed directory leads
/// astray.
struct OutputPlace {
  OwnedDescriptor directory;  ///< O_PATH
  std::string name;           ///< without the directory
};

/// Opens the directory of `path`. Errors: kInvalidArgument where it names no file, kIo.
Result<OutputPlace> OpenOutputPlace(const std::string& path);

/// kExists: "'path' exists already".
Error TargetExists(const std::string& path);

/// Refuses a target that must not or cannot be replaced by a regular file. `path` is for messages. Errors: kExists
/// where it exists and !overwrite, kInvalidArgument (directory, special file, link to an open file), kIo.
Status CheckTarget(int directory, const std::string& name, const std::string& path, bool overwrite);

/// Puts `from` under the name `to` unless that exists, without a moment in which another file could be lost. False with
/// errno where it fails (EEXIST).
bool RenameNoReplace(int directory, const char* from, const char* to);

/// fsync, resumed after EINTR. False with errno.
bool SyncDescriptor(int descriptor);

/// Makes the names in a directory durable. `path` is for messages. Errors: kIo.
Status SyncDirectory(int directory, const std::string& path);

/// Gives an open file the permission bits of `mode` and a modification time, where its file system has them. Errors:
/// kIo.
Status SetAttributes(int descriptor, const std::string& path, uint32_t mode, int64_t modified_ns);

}  // namespace flyweight
