#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"

namespace flyweight {

inline constexpr uint64_t kZipLocalHeaderBytes = 30;
inline constexpr uint64_t kZipCentralEntryBytes = 46;
inline constexpr uint64_t kZipEndBytes = 22;
inline constexpr uint16_t kZipMethodStored = 0;
inline constexpr uint16_t kZipFlagDataDescriptor = 1U << 3;
inline constexpr uint16_t kZipFlagsOfEncryption = 1U << 0 | 1U << 6 | 1U << 13;
/// In a 32-bit field: the value is in the zip64 extra field.
inline constexpr uint64_t kZipSaturated32 = 0xFFFFFFFF;

/// Where the central directory lies. It was checked to lie inside the file, right before the end records.
struct ZipEnd {
  uint64_t entry_count = 0;
  uint64_t directory_offset = 0;
  uint64_t directory_bytes = 0;
};

/// A row of the central directory: the file's own claims.
struct ZipCentralEntry {
  std::string_view name;
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t stored_bytes = 0;
  uint64_t plain_bytes = 0;  ///< decompressed
  uint64_t header_offset = 0;
};

/// A member's local header, with the sizes of its zip64 extra field where it has one.
struct ZipLocalHeader {
  std::string name;
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t stored_bytes = 0;
  uint64_t plain_bytes = 0;
  uint64_t header_bytes = 0;  ///< name and extra fields included: the content follows
};

/// Whether the file starts with a member, as every zip file does that holds one and nothing before it.
bool StartsLikeZip(ByteSpan first_bytes);

/// Finds the end record, whose comment must end with the file, and the zip64 end record where there is one. Gives
/// nothing where there is none, several disks are named, or the directory does not end where the end records begin.
/// Errors: those of reading.
Result<std::optional<ZipEnd>> ReadZipEnd(const ByteSource& source);

/// Parses a central directory of exactly `entry_count` rows; names point into `central`. Nothing where it is malformed.
std::optional<std::vector<ZipCentralEntry>> ParseZipCentralEntries(ByteSpan central, uint64_t entry_count);

/// Reads the local header at `offset`. Gives nothing where there is none with a name of `name_bytes` bytes.
/// Precondition: kZipLocalHeaderBytes + name_bytes can be read at `offset`. Errors: those of reading.
Result<std::optional<ZipLocalHeader>> ReadZipLocalHeader(const ByteSource& source, uint64_t offset, size_t name_bytes);

}  // namespace flyweight
