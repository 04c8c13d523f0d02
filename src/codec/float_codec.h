#pragma once

#include "base/bytes.h"
#include "codec/float_side.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Encodes a chunk of floats (docs/format.md section 3.5.3). `first_word` is the chunk's first word in the tensor.
/// Returns the payload's bytes, or 0 where it would not be smaller than `payload` has room for. Preconditions: chunk is
/// whole words, at least kHeadIteration of them.
size_t EncodeFloatChunk(const FloatSide& side, Level level, uint64_t first_word, ByteSpan chunk,
                        MutableByteSpan payload, CodecScratch::Impl& scratch);

/// Decodes a payload into `chunk` and computes the xxh3 of what it decoded. kDecodePaddingBytes must be readable behind
/// the payload. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeFloatChunk(const FloatSide& side, uint64_t first_word, ByteSpan payload, MutableByteSpan chunk,
                        CodecScratch::Impl& scratch, uint64_t& checksum);

}  // namespace flyweight
