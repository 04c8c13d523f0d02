#pragma once

#include <string>

#include "base/file_io.h"

// The directory in which a tree grows before it takes its name.

namespace flyweight {

/// Deletes everything in an open directory, of any depth, following no link; directories of this user that deny it are
/// made writable first. Errors: kIo, kSourceChanged (somebody moves directories meanwhile). `path` is for messages.
Status RemoveContents(int directory, const std::string& path);

/// Opens a directory for reading, no link, and makes it readable and writable for its owner before, if it is this
/// user's. Invalid with errno set.
OwnedDescriptor OpenOwnDirectory(int directory, const std::string& name);

/// A directory of this run alone: created with mode 0700 and locked, or what a killed run left under this name,
/// emptied.
class HiddenDirectory {
 public:
  HiddenDirectory() = default;
  /// Errors: kExists (another run holds it, or something else has the name), kIo. `mkdir_errno` is set where nothing
  /// may be created in `holder`. `target_path` is for messages.
  static Result<HiddenDirectory> Make(int holder, const std::string& name, const std::string& target_path,
                                      int* mkdir_errno);

  int descriptor() const { return root_.get(); }
  const std::string& name() const { return name_; }
  /// Deletes it with what it holds, as far as that can be done. Precondition: `holder` is the same as given to Make.
  void Remove(int holder);

 private:
  OwnedDescriptor root_;  // carries the lock
  std::string name_;
};

}  // namespace flyweight
