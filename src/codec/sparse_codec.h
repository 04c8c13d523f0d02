#pragma once

#include "codec/patch_side.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// How many words of a chunk are not as predicted.
size_t CountChangedWords(size_t word_bytes, ByteSpan chunk, const std::byte* predicted);

/// Bits that so many changes take as a sparse chunk, about.
double SparseBits(uint64_t word_count, uint64_t changed, size_t word_bytes);

/// Encodes a chunk as the places where it is not as predicted and the differences there (docs/format.md section
/// 3.14.4), without the checksum of the base. Returns the bytes written, 0 where they do not fit. Precondition: whole
/// words.
size_t EncodeSparseChunk(PatchWord word, ByteSpan chunk, const std::byte* predicted, MutableByteSpan payload,
                         CodecScratch::Impl& scratch);

/// The inverse; `predicted` may be the chunk, of which then only the changed words are written.
/// kDecodePaddingBytes must be readable behind the payload. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeSparseChunk(PatchWord word, ByteSpan payload, const std::byte* predicted, MutableByteSpan chunk,
                         CodecScratch::Impl& scratch);

}  // namespace flyweight
