#pragma once

#include <array>
#include <cstdint>

#include "archive/wire.h"
#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// The archive's first 64 bytes (docs/format.md section 1.1).
struct ArchiveHeader {
  uint64_t required_features = 0;
  uint64_t optional_features = 0;
};

/// The archive's last 128 bytes (docs/format.md section 1.2).
struct ArchiveFooter {
  ArchiveHeader header;
  uint64_t first_index_offset = 0;
  uint64_t second_index_offset = 0;
  uint64_t index_section_bytes = 0;
  uint64_t archive_bytes = 0;
};

using HeaderBytes = std::array<std::byte, wire::kHeaderBytes>;
using FooterBytes = std::array<std::byte, wire::kFooterBytes>;

HeaderBytes WriteHeader(const ArchiveHeader& header);
FooterBytes WriteFooter(const ArchiveFooter& footer);

/// True where the header's checksum holds: a header for which it does not is damaged and its copy takes its place.
/// Precondition: bytes.size() == 64.
bool HeaderHashHolds(ByteSpan bytes);

/// Parses a header whose hash holds. Precondition: bytes.size() == 64.
/// Errors: kChecksumMismatch, kCorrupt, kUnsupportedVersion, kUnsupportedFeature.
Result<ArchiveHeader> ParseHeader(ByteSpan bytes);

/// Parses a footer that ends at byte `archive_bytes` of the file and checks that what it points at lies inside the
/// archive, in order. Precondition: bytes.size() == 128. Errors: those of ParseHeader, kTruncated, kLimitExceeded.
Result<ArchiveFooter> ParseFooter(ByteSpan bytes, uint64_t archive_bytes);

}  // namespace flyweight
