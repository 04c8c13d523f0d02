#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_io.h"
#include "tree/entry.h"

// Names resolved beneath a directory and through no link: what every access to a tree goes through.

namespace flyweight {

/// open() of `path` (clean, relative, "" is the directory itself) beneath `directory` without following any link, of
/// any length: by openat2 where the kernel has it, component by component otherwise. `flags` and `mode` as in open().
/// Invalid with errno set where it fails; a link in the way is ELOOP or ENOTDIR.
OwnedDescriptor OpenBeneath(int directory, std::string_view path, int flags, unsigned mode = 0);

/// OpenBeneath by single steps, whatever the kernel has.
OwnedDescriptor OpenBeneathBySteps(int directory, std::string_view path, int flags, unsigned mode = 0);

/// An open directory, shared among those that work on names in it, and one name in it.
struct HeldName {
  std::shared_ptr<OwnedDescriptor> holder;
  std::string name;
  int directory() const { return holder->get(); }
};

/// Remembers the last directory that was opened, since entries of one directory follow each other, and on the way to a
/// deep one some that hold it: then going one level up or down costs little at any depth. Keeps some 40 descriptors at
/// most, for ordinary paths two. Safe from several threads.
class HolderCache {
 public:
  /// Opens the directory that the first `path_bytes` bytes of the path lead to; invalid with errno set.
  using OpenStart = std::function<OwnedDescriptor(size_t& path_bytes)>;

  /// Opens the directory `path` as a path handle (O_PATH); null with errno set where it fails. `open_start` is asked
  /// where nothing that was opened before lies on the way.
  std::shared_ptr<OwnedDescriptor> Open(std::string_view path, const OpenStart& open_start);
  /// The same beneath one directory, which must always be the same.
  std::shared_ptr<OwnedDescriptor> OpenIn(int root, std::string_view path);

 private:
  struct Point {
    size_t path_bytes;
    std::shared_ptr<OwnedDescriptor> holder;
  };
  bool Step();
  void Push(Point point);

  std::mutex mutex_;
  std::string path_;
  std::vector<Point> points_;  // on the way to path_, the last at its end
};

/// fstatat() that follows no link. False with errno set.
bool StatName(int directory, const std::string& name, struct stat& status);

/// The target of a link; false with errno set.
bool ReadLink(int directory, const std::string& name, std::string& target);

/// Kind (kDirectory, kSymlink, or kFile for everything else), permission bits and times.
EntryStat EntryStatOf(const struct stat& status);

/// Opens for reading, follows no link, waits for no pipe, and leaves the access time alone where the system allows it.
OwnedDescriptor OpenQuietly(int directory, const std::string& name, int flags);

}  // namespace flyweight
