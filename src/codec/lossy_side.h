#pragma once

#include "base/bytes.h"
#include "codec/record.h"
#include "codec/record_side.h"
#include "entropy/zstd_coder.h"
#include "flyweight/result.h"

namespace flyweight {

void WriteLossySide(const LossySide& side, ZstdCoder& zstd, ByteWriter& writer);

/// Reads the side information of a record whose dtype and geometry are in `head`. Errors: kTruncated, kCorrupt,
/// kUnsupportedFeature.
Result<LossySide> ReadLossySide(ReadCursor& cursor, const RecordHead& head, ZstdCoder& zstd);

}  // namespace flyweight
