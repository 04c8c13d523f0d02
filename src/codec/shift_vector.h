#pragma once

#include <span>

#include "base/bytes.h"
#include "entropy/zstd_coder.h"
#include "flyweight/result.h"

namespace flyweight {

/// Re-centring shifts, a signed byte a row or column, coded by the smaller of unary, zstd and stored (docs/format.md
/// section 3.4).
void WriteShiftVector(std::span<const int8_t> shifts, ZstdCoder& zstd, ByteWriter& writer);

/// Reads shifts.size() values. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status ReadShiftVector(ReadCursor& cursor, ZstdCoder& zstd, std::span<int8_t> shifts);

/// Bits that WriteShiftVector takes for `shifts`, roughly.
double EstimateShiftBits(std::span<const int8_t> shifts);

}  // namespace flyweight
