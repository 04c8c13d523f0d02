#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "flyweight/lossy.h"
#include "flyweight/result.h"

namespace flyweight {

/// What a file's attribute 5 says of one of its extents (docs/format.md section 1.5.1).
struct LossyRow {
  uint32_t extent = 0;  ///< number in the file
  LossyChoice choice;
  double max_error = 0;  ///< absolute, over all elements
  double rms_error = 0;
  float relative_error = 0;  ///< kDelta: of what changed against the base
  bool operator==(const LossyRow&) const = default;
};

inline constexpr size_t kLossyRowBytes = 28;

/// The value of attribute 5. Precondition: rows in ascending order of extents.
std::vector<std::byte> WriteLossyRows(const std::vector<LossyRow>& rows);

/// Parses and checks the value of attribute 5 of a file with `extent_count` extents. Errors: kCorrupt,
/// kUnsupportedFeature (unknown method).
Result<std::vector<LossyRow>> ParseLossyRows(ByteSpan value, uint64_t extent_count);

/// What a file's attribute 4 says: the file as it was before it was compressed, where that is not what is restored.
struct OriginalFile {
  uint64_t file_bytes = 0;
  Digest sha256{};
};

/// The value of attribute 4.
std::vector<std::byte> WriteOriginalFile(const OriginalFile& original);

/// Errors: kCorrupt.
Result<OriginalFile> ParseOriginalFile(ByteSpan value);

/// The fields of a choice as records and attributes have them: u8 method, u8 bits, u8 flags, u8 reserved, u32 block.
/// `more_flags` are those that a record has beside bit 0.
void WriteLossyChoice(const LossyChoice& choice, uint8_t more_flags, ByteWriter& writer);

/// Reads and checks them. `more_flags` says which bits beside bit 0 may be set, and gets those that are. Errors:
/// kTruncated, kCorrupt, kUnsupportedFeature.
Result<LossyChoice> ReadLossyChoice(ReadCursor& cursor, uint8_t& more_flags);

}  // namespace flyweight
