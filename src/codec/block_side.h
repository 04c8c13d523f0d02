#pragma once

#include "base/bytes.h"
#include "flyweight/result.h"
#include "transform/block_fields/block_layout.h"

namespace flyweight {

/// Side information of a record of quantised blocks (docs/format.md section 3.11): which blocks its bytes are.
struct BlockSide {
  const BlockLayout* layout = nullptr;
};

void WriteBlockSide(const BlockSide& side, ByteWriter& writer);

/// Errors: kTruncated, kUnsupportedFeature.
Result<BlockSide> ReadBlockSide(ReadCursor& cursor);

}  // namespace flyweight
