#pragma once

#include "base/bytes.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Encodes a chunk as byte planes (docs/format.md section 3.2), each coded on its own. Returns the payload's bytes, or
/// 0 where they do not fit. Precondition: chunk is whole elements of 1, 2, 4 or 8 bytes.
size_t EncodePlanesChunk(ByteSpan chunk, size_t element_bytes, bool rotate, MutableByteSpan payload,
                         CodecScratch::Impl& scratch);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodePlanesChunk(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk, CodecScratch::Impl& scratch);

}  // namespace flyweight
