#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "flyweight/entry.h"
#include "flyweight/result.h"

// What a tree of files is made of. Nothing here touches a file system or an archive.

namespace flyweight {

/// One name in a tree.
struct TreeEntry {
  std::string path;  // relative, '/'-separated, raw bytes; "" is the root
  EntryStat stat;
  std::string link_target;         // of a kSymlink: raw bytes, as they are
  uint64_t hard_link_to = 0;       // of a kHardLink: index of the earlier entry, a kFile, that has the content
  uint64_t size_bytes = 0;         // of the content: kFile and kHardLink
  uint64_t device = 0, inode = 0;  // identity when walked; both 0 where the entry did not come from a walk
};

inline constexpr size_t kEntryPathMaxBytes = 65535;
inline constexpr size_t kEntryNameMaxBytes = 255;
inline constexpr size_t kLinkTargetMaxBytes = 4095;

/// How bad something is that did not stop the whole run: a warning (what was left out was not wanted or not possible,
/// such as a socket), or an error (a part of the tree is missing, the run must end with a failing status).
enum class TreeSeverity : uint8_t { kWarning, kError };

/// Takes note of what went wrong with one entry. May be called from any thread, one call at a time. Must not throw.
using TreeNotice = std::function<void(TreeSeverity, const Error&)>;

/// The order of entries: component by component, by byte value, a directory before what it holds and that before the
/// directory's next sibling. It is the byte order of paths in which '/' is the lowest byte.
bool PathLess(std::string_view a, std::string_view b);

/// kCorrupt unless `path` is "" (the root) or relative and clean: no empty, '.' or '..' component, no NUL, at most
/// 65535 bytes and 255 a component. Names that only other systems reserve ("CON", "a:b", trailing dots) are allowed.
Status CheckEntryPath(std::string_view path);

/// kCorrupt unless a symbolic link can hold it: 1 to 4095 bytes, no NUL. Where it leads does not matter, since no link
/// is ever followed.
Status CheckLinkTarget(std::string_view target);

/// kCorrupt unless the kind is known, the mode has 12 bits and nanoseconds are below 1e9.
Status CheckEntryStat(const EntryStat& stat);

/// Everything but the last component; "" for a path of one component.
std::string_view ParentPath(std::string_view path);

/// The last component.
std::string_view BaseName(std::string_view path);

}  // namespace flyweight
