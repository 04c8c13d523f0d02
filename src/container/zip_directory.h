#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"

namespace flyweight {

/// A longer central directory is not read, so that memory stays bounded: 16 MiB list some 200,000 members.
inline constexpr uint64_t kZipMaxDirectoryBytes = uint64_t{16} << 20;

/// A member of a zip file whose content lies in the file as it is: stored, not encrypted, and described alike by its
/// local header and the central directory.
struct ZipMember {
  std::string_view name;     ///< points into the directory
  uint64_t data_offset = 0;  ///< in the file
  uint64_t size_bytes = 0;
};

/// The stored members of a zip file, in the order of their offsets; their ranges do not overlap.
struct ZipDirectory {
  std::vector<std::byte> central;  ///< holds the names
  std::vector<ZipMember> members;
};

/// Reads the end of central directory (a comment may follow it), its zip64 form, the central directory and all local
/// headers, but no content. Members that are compressed or encrypted, or whose two headers disagree, are left out.
/// Gives nothing where the file is not one zip file from first to last byte beyond doubt: data before or behind it,
/// several disks, members that overlap each other or the directory, a directory over kZipMaxDirectoryBytes. Errors:
/// those of reading. Source: APPNOTE.TXT 6.3.10, .ZIP File Format Specification.
Result<std::optional<ZipDirectory>> ReadZipDirectory(const ByteSource& source, ByteSpan first_bytes);

}  // namespace flyweight
