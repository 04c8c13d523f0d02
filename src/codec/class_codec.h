#pragma once

#include "base/bytes.h"
#include "codec/class_side.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Encodes a chunk in classes (docs/format.md section 3.8.3). `first_word` is the chunk's first word in the tensor.
/// Returns the payload's bytes, or 0 where it would not be smaller than `payload` has room for. Precondition: chunk is
/// whole words, at least one.
size_t EncodeClassChunk(const ClassSide& side, DType dtype, uint64_t first_word, ByteSpan chunk,
                        MutableByteSpan payload, CodecScratch::Impl& scratch);

/// Decodes a payload into `chunk`. kDecodePaddingBytes must be readable behind the payload. Errors: kTruncated,
/// kCorrupt, kUnsupportedFeature.
Status DecodeClassChunk(const ClassSide& side, uint64_t first_word, ByteSpan payload, MutableByteSpan chunk,
                        CodecScratch::Impl& scratch);

/// The frequencies that coding needs at most to pay for a symbol rather than for patches of it; symbols that are rarer
/// are left out of shared tables.
FrequencyTables BuildClassTables(std::span<const ByteHistogram> counts, int precision_bits, bool drop_rare);

/// The lowest exponent of the window of 64 that holds most of the counted ones (modulo 256).
uint8_t ChooseExponentBase(const ByteHistogram& exponents);

/// Precision that tables of so many contexts get: together they should stay in the first- or second-level cache.
inline int ClassPrecisionBits(size_t context_count) { return context_count <= 4 ? 12 : 11; }

}  // namespace flyweight
