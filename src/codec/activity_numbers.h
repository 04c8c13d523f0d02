#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// Writes small numbers that scatter around a slowly changing mean, of which runs may be 0 (docs/format.md section
/// 3.14.3): lengths of runs without and with zeros in turn, then the numbers that are not 0. Precondition: under 2^24
/// numbers.
void WriteActivities(std::span<const uint8_t> activities, ByteWriter& writer);

/// The inverse. Errors: kTruncated, kCorrupt.
Status ReadActivities(ReadCursor& cursor, std::span<uint8_t> activities);

}  // namespace flyweight
