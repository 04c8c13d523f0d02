#pragma once

#include <compare>
#include <cstdint>

namespace flyweight {

/// What an entry of a directory is. Numbers are written into archives and never change meaning.
enum class EntryKind : uint8_t { kFile = 0, kDirectory = 1, kSymlink = 2, kHardLink = 3 };

/// A moment as file systems keep it, relative to 1970-01-01 UTC. Before it, `seconds` is negative and `nanoseconds`
/// (under 10^9) still counts forward: -0.25 s is {-1, 750000000}.
struct FileTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  auto operator<=>(const FileTime&) const = default;
};

/// What an archive keeps of an entry beside its name and content.
struct EntryStat {
  EntryKind kind = EntryKind::kFile;
  uint16_t mode = 0;  ///< 12 bits: permissions, set-user-ID, set-group-ID, sticky
  FileTime modified;
  FileTime accessed;
  bool operator==(const EntryStat&) const = default;
};

}  // namespace flyweight
