#pragma once

#include "base/bytes.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Encodes a chunk as the planes of its elements' differences (docs/format.md section 3.13). Returns the payload's
/// bytes, or 0 where a sample of them promises nothing or they do not fit. Precondition: chunk is whole elements of 2,
/// 4 or 8 bytes.
size_t EncodeDifferencesChunk(ByteSpan chunk, size_t element_bytes, MutableByteSpan payload,
                              CodecScratch::Impl& scratch);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeDifferencesChunk(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch);

}  // namespace flyweight
