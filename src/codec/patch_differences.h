#pragma once

#include "base/bytes.h"
#include "codec/patch_side.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Bytes that EncodePatchDifferences would write, judged from a sample.
size_t EstimatePatchDifferences(PatchWord word, ByteSpan chunk, const std::byte* predicted,
                                CodecScratch::Impl& scratch);

/// Encodes a chunk as byte planes of its differences to a prediction (docs/format.md section 3.14.5), without the
/// checksum of the base. Returns the bytes written, 0 where they do not fit. Precondition: whole words.
size_t EncodePatchDifferences(PatchWord word, ByteSpan chunk, const std::byte* predicted, MutableByteSpan payload,
                              CodecScratch::Impl& scratch);

/// The inverse; `predicted` may be the chunk. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodePatchDifferences(PatchWord word, ByteSpan payload, const std::byte* predicted, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch);

}  // namespace flyweight
