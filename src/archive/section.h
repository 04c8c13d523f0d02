#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// Makes a section (docs/format.md section 1.3) of `body`: as one zstd frame where that is smaller, else stored. The
/// same body always gives the same section. Errors: kLimitExceeded (a body over 1 GiB), kInternal.
Result<std::vector<std::byte>> WriteSection(uint32_t kind, ByteSpan body);

/// True where the checksum over section head and body holds. Precondition: section.size() >= 32.
bool SectionHashHolds(ByteSpan section);

/// Takes the body out of a section that fills `section` exactly. Memory: the declared size of the body, at most 1 GiB,
/// after all other checks. `section_offset` is for messages. Errors: kChecksumMismatch, kCorrupt, kTruncated,
/// kUnsupportedFeature, kLimitExceeded.
Result<std::vector<std::byte>> ReadSectionBody(uint32_t kind, ByteSpan section, uint64_t section_offset);

}  // namespace flyweight
