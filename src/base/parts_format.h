#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

// The header of a part (docs/format.md, section "Parts").

namespace flyweight {

inline constexpr uint64_t kPartMagic = 0x0A1A0A0D504C4689;  ///< "\x89FLP\r\n\x1a\n"
inline constexpr uint16_t kPartVersion = 1;
inline constexpr size_t kPartHeaderBytes = 96;
inline constexpr size_t kPartVersionOffset = 8;
inline constexpr size_t kPartSizeOffset = 10;
inline constexpr size_t kPartNumberOffset = 12;
inline constexpr size_t kPartCountOffset = 16;
inline constexpr size_t kPartReservedOffset = 20;
inline constexpr size_t kPartIdentityOffset = 24;
inline constexpr size_t kPartPayloadOffsetOffset = 40;
inline constexpr size_t kPartPayloadBytesOffset = 48;
inline constexpr size_t kPartArchiveBytesOffset = 56;
inline constexpr size_t kPartPayloadHashOffset = 64;
inline constexpr size_t kPartReserved2Offset = 72;
inline constexpr size_t kPartHashOffset = 88;

/// The smallest size to split by.
inline constexpr uint64_t kPartMinBytes = kPartHeaderBytes + 1024;
inline constexpr uint32_t kPartMaxCount = 1'000'000;

/// The same in all parts of one archive: the first 16 bytes of a SHA-256 over their payloads' sizes and checksums.
using PartsIdentity = std::array<std::byte, 16>;

struct PartHeader {
  uint32_t number = 0;  ///< from 1
  uint32_t count = 0;
  PartsIdentity identity{};
  uint64_t payload_offset = 0;  ///< in the archive
  uint64_t payload_bytes = 0;
  uint64_t archive_bytes = 0;
  uint64_t payload_xxh3 = 0;

  bool operator==(const PartHeader&) const = default;
};

/// "NAME.001", "NAME.1000".
std::string PartName(const std::string& name, uint32_t number);

/// NAME of "NAME.001": at least three digits behind the last dot. Empty where it is no such name.
std::string WithoutPartNumber(const std::string& part_name);

bool HasPartMagic(ByteSpan bytes);

std::array<std::byte, kPartHeaderBytes> WritePartHeader(const PartHeader& header);

/// Parses a header and checks that it agrees with itself. Precondition: bytes.size() == kPartHeaderBytes. Errors:
/// kCorrupt (not a part, contradictions), kChecksumMismatch, kUnsupportedVersion, kUnsupportedFeature, kLimitExceeded.
Result<PartHeader> ParsePartHeader(ByteSpan bytes);

/// Hashes what makes an identity, part by part in order.
PartsIdentity IdentityOfParts(const std::vector<PartHeader>& headers);

}  // namespace flyweight
