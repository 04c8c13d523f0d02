#pragma once

#include <optional>

#include "base/bytes.h"
#include "codec/record.h"
#include "flyweight/result.h"
#include "transform/scaled_integers/scaled_value.h"

namespace flyweight {

/// The words of a dtype that can be scaled integers, or nothing.
std::optional<ScaledWord> ScaledWordOf(DType dtype);

/// Where a chunk lies in its tensor, as far as the search for groups needs it.
struct ScaledPlace {
  uint64_t first_element = 0;    ///< of the tensor, in this chunk
  uint64_t tensor_elements = 0;  ///< in all; rows that are groups divide it
};

/// Encodes a chunk whose elements are integers times a scale, one scale for the chunk or for each group (docs/format.md
/// section 3.10). A few windows decide whether the chunk is looked at at all, so that other floats cost next to
/// nothing. Returns the payload's bytes, or 0 where the chunk is of another kind or they do not fit.
size_t EncodeScaledChunk(ScaledWord word, const ScaledPlace& place, ByteSpan chunk, MutableByteSpan payload,
                         CodecScratch::Impl& scratch);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeScaledChunk(ScaledWord word, ByteSpan payload, MutableByteSpan chunk, CodecScratch::Impl& scratch);

}  // namespace flyweight
