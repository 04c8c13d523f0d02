#pragma once

#include <sys/stat.h>

#include <string>

#include "tree/entry.h"
#include "tree/notices.h"

namespace flyweight {

/// Gives an open file or directory its 12 permission bits and its times, in this order. What the file system does not
/// know becomes a warning. `path` is for messages. Errors: kIo.
Status ApplyAttributes(int descriptor, const std::string& path, const EntryStat& stat, Notices& notices);

/// The times of a symbolic link, itself and not what it leads to. As ApplyAttributes.
Status ApplyLinkTimes(int directory, const std::string& name, const std::string& path, const EntryStat& stat,
                      Notices& notices);

/// Whether an error says that a file system lacks something, rather than that something went wrong.
bool IsUnsupported(int error_number);

/// fsync(), resumed; a file system that cannot sync what this is (EINVAL) is none of the caller's problems. Errors:
/// kIo.
Status SyncDescriptor(int descriptor, const std::string& path);

/// syncfs(): everything on the file system of `descriptor`. Errors: kIo.
Status SyncFileSystem(int descriptor, const std::string& path);

}  // namespace flyweight
