#pragma once

#include "codec/dense_side.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Encodes a chunk whose first word is `first_word` of the tensor as classes of its differences to a prediction
/// (docs/format.md section 3.14.3), without the checksum of the base. Returns the bytes written, 0 where they do not
/// fit. Preconditions: whole words; side.rows are the tensor's.
size_t EncodeDenseChunk(const DenseSide& side, uint64_t first_word, ByteSpan chunk, const std::byte* predicted,
                        MutableByteSpan payload, CodecScratch::Impl& scratch);

/// The inverse; `predicted` may be the chunk. kDecodePaddingBytes must be readable behind the payload. Errors:
/// kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeDenseChunk(const DenseSide& side, uint64_t first_word, ByteSpan payload, const std::byte* predicted,
                        MutableByteSpan chunk, CodecScratch::Impl& scratch);

}  // namespace flyweight
