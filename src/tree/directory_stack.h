#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/file_io.h"
#include "tree/beneath.h"

namespace flyweight {

/// The names in one directory, but "." and "..", in byte order.
class NameList {
 public:
  /// Reads an open directory from where its descriptor stands. False with errno set.
  bool Read(int directory);
  bool AtEnd() const { return next_ == offsets_.size(); }
  /// Precondition: !AtEnd().
  std::string Take() { return bytes_.data() + offsets_[next_++]; }
  size_t count() const { return offsets_.size(); }

 private:
  std::string bytes_;  // names, each with a NUL behind it
  std::vector<size_t> offsets_;
  size_t next_ = 0;
};

/// The directories from a top down to where a traversal is, of any depth with 32 descriptors at most: of those higher
/// up only the identity is kept, and compared when the way back leads through "..".
class DirectoryStack {
 public:
  /// Precondition: `top` is an open directory. False with errno set.
  bool PushTop(OwnedDescriptor top);
  /// Opens `name` in the current directory, which must be a directory and no link, for reading. False with errno set.
  bool Push(const std::string& name);
  /// Back to the parent. False with errno set: ESTALE where the directory was moved elsewhere meanwhile. Precondition:
  /// depth() > 0.
  bool Pop();

  size_t depth() const { return levels_.size(); }
  int descriptor() const { return levels_.back().descriptor.get(); }
  const FileIdentity& identity() const { return levels_.back().identity; }
  /// Whether a directory of this identity is on the stack.
  bool Contains(const FileIdentity& identity) const;

 private:
  struct Level {
    OwnedDescriptor descriptor;
    FileIdentity identity;
  };
  std::vector<Level> levels_;
};

}  // namespace flyweight
