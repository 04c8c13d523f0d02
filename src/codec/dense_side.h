#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"
#include "entropy/nibble_rans/nibble_coder.h"
#include "flyweight/result.h"
#include "transform/float_fields/float_fields.h"

namespace flyweight {

/// What chunks of the dense codec share (docs/format.md section 3.14.3): how large differences are expected to be, by
/// column, and the tables of their classes.
struct DenseSide {
  FloatLayout layout = FloatLayout::kBF16;
  uint8_t exponent_origin = 0;
  uint64_t column_count = 1;     ///< words of a row
  std::vector<uint8_t> columns;  ///< activity of each
  NibbleTables tables;
  std::unique_ptr<const NibbleCoder> coder;
  double expected_bits = 0;   ///< encoder only: of a word, on average
  std::vector<uint8_t> rows;  ///< encoder only: activity of each row of the tensor, 0 where none of its words differs
};

void WriteDenseSide(const DenseSide& side, ByteWriter& writer);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<DenseSide> ReadDenseSide(ReadCursor& cursor, FloatLayout layout);

}  // namespace flyweight
