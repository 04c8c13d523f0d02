#pragma once

#include "base/bytes.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Encodes a chunk of few distinct elements as a palette and one byte an element (docs/format.md section 3.9). Elements
/// beyond the 256 commonest are patched where they are rare. A sample decides whether the chunk is looked at at all.
/// Returns the payload's bytes, or 0 where there are too many values or they do not fit. Precondition: chunk is whole
/// elements of 2, 4 or 8 bytes.
size_t EncodePaletteChunk(ByteSpan chunk, size_t element_bytes, MutableByteSpan payload, CodecScratch::Impl& scratch);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodePaletteChunk(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk, CodecScratch::Impl& scratch);

}  // namespace flyweight
