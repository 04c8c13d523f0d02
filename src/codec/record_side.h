#pragma once

#include <optional>

#include "codec/codec_id.h"
#include "codec/float_side.h"
#include "codec/record.h"

namespace flyweight {

/// The side information of any transform.
struct RecordHead::Side {
  TransformId transform = TransformId::kNone;
  std::optional<FloatSide> floats;
};

/// Bytes of one element as chunks count them: those of the dtype; 1 for types of less than 8 bits.
inline uint64_t ElementBytes(DType dtype) {
  int bits = Describe(dtype).bits;
  return bits < 8 ? 1 : static_cast<uint64_t>(bits) / 8;
}

}  // namespace flyweight
