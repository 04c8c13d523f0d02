#pragma once

#include <optional>

#include "base/file.h"
#include "codec/record.h"
#include "entropy/mixing/mixed_model.h"

namespace flyweight {

/// How the elements of a dtype are words of the mixed codec (docs/format.md section 3.12).
struct MixedLayout {
  MixedWord word;          ///< the modelled part of a word: its top bits
  uint8_t word_bytes = 2;  ///< 1, 2 or 4
  uint8_t low_planes = 0;  ///< bytes of the word under the modelled part
};

/// nullopt where the dtype has no layout: only floats of 8, 16 and 32 bits and complex numbers of these have one.
std::optional<MixedLayout> MixedLayoutOf(DType dtype);

/// Chunks under this are not worth what the model spends on learning.
inline constexpr size_t kMinMixedWords = 1024;

/// The matrix that a tensor is read as, and where in it a chunk begins; both in words.
struct MixedGeometry {
  uint64_t columns = 0;  ///< 0 where nothing is known
  uint64_t first_word = 0;
};

/// Encodes a chunk by context mixing. Returns the payload's bytes, or 0 where it would not be smaller than `payload`
/// has room for. Precondition: chunk is whole words, at least one.
size_t EncodeMixedChunk(const MixedLayout& layout, const MixedGeometry& geometry, ByteSpan chunk,
                        MutableByteSpan payload, CodecScratch::Impl& scratch);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature. Precondition: chunk is whole words.
Status DecodeMixedChunk(const MixedLayout& layout, ByteSpan payload, MutableByteSpan chunk,
                        CodecScratch::Impl& scratch);

/// The row length in words, of those that the shape suggests, under which a sample of the tensor is smallest; 0 where
/// the shape suggests none. Deterministic. Errors: those of reading.
Result<uint64_t> PlanMixedColumns(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                  const Shape& shape, CodecScratch::Impl& scratch);

}  // namespace flyweight
