#pragma once

#include <algorithm>
#include <cstdint>

#include "archive/reader.h"
#include "flyweight/pipeline.h"
#include "tree/entry.h"

namespace flyweight {

/// The nearest time that 64 bits of nanoseconds can hold: an archive keeps times whole, the archive's own file does
/// not.
inline int64_t ToNanoseconds(const FileTime& time) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = std::clamp(time.seconds, INT64_MIN / kSecond + 1, INT64_MAX / kSecond - 1);
  return seconds * kSecond + time.nanoseconds;
}

/// What the restorer of directories needs of an entry of an archive.
inline TreeEntry ToTreeEntry(const IndexFile& file) {
  TreeEntry entry;
  entry.path = file.name;
  entry.stat = file.entry;
  entry.link_target = file.link_target;
  entry.hard_link_to = file.hard_link_to;
  entry.size_bytes = file.file_bytes;
  return entry;
}

/// The entry of an archive that an entry on disk becomes, without content.
inline IndexFile ToIndexFile(const TreeEntry& entry) {
  IndexFile file;
  file.name = entry.path;
  file.entry = entry.stat;
  file.link_target = entry.link_target;
  file.hard_link_to = static_cast<uint32_t>(entry.hard_link_to);
  return file;
}

/// Gives what walking and restoring have to say to the caller, whose callback must outlive the result and may be empty.
inline TreeNotice ForwardNotices(const NoticeCallback& notice) {
  return [&notice](TreeSeverity severity, const Error& error) {
    if (notice) notice({"", error.message, severity == TreeSeverity::kError});
  };
}

}  // namespace flyweight
