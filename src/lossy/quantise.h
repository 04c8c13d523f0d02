#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "flyweight/lossy.h"
#include "flyweight/tensor.h"

namespace flyweight {

// What lossy methods do to elements (docs/format.md section 3.6). Elements are read as F32 (F64 rounded to it) and
// restored from F32. Everything is exact arithmetic of IEEE 754, so every machine gives the same bytes.

/// Elements are worked on in strips of this many, which are whole blocks.
inline constexpr size_t kLossyStrip = 4096;

/// True for types that any lossy method takes: F64, F32, F16 and BF16.
bool CanBeLossy(DType dtype);

/// True where `method` makes elements of `dtype` smaller: halves only of F64 and F32.
bool CanBeLossy(DType dtype, LossyMethod method);

/// The highest code of a block's elements: 2^bits - 1 with a minimum, 2^bits - 2 around zero.
int32_t HighestCode(const LossyChoice& choice);

/// Rounds a chunk's elements to F16 or BF16, ties to even; NaN stays NaN, infinities and -0 stay. Preconditions:
/// method is one of these; `words` has 2 bytes an element.
void NarrowChunk(LossyMethod method, DType dtype, ByteSpan chunk, std::byte* words);

/// Gives F16 or BF16 words as elements of `dtype`.
void WidenChunk(LossyMethod method, DType dtype, const std::byte* words, MutableByteSpan chunk);

/// The parts of a chunk of quantised blocks: a code for each element, a scale (BF16) for each block, and a minimum
/// (BF16) where the choice has them.
struct QuantisedChunk {
  uint8_t* codes = nullptr;
  uint16_t* scales = nullptr;
  uint16_t* minima = nullptr;
};

/// Quantises a chunk, whose elements must be finite and at most LargestQuantised(dtype). -0 becomes 0. No error is over
/// half a scale, beside the rounding of the restored element.
void QuantiseChunk(const LossyChoice& choice, DType dtype, ByteSpan chunk, const QuantisedChunk& parts);

/// The inverse. Precondition: no code over HighestCode.
void DequantiseChunk(const LossyChoice& choice, DType dtype, const QuantisedChunk& parts, MutableByteSpan chunk);

/// The highest of some codes.
uint8_t LargestCode(const uint8_t* codes, size_t count);

/// The largest magnitude that quantising can not push out of the range of `dtype`.
double LargestQuantised(DType dtype);

/// Whether restored elements are within what the method promises of their source: half a step of their block, or half a
/// unit in the last place of the half, beside the rounding of the restored element. Written independently of the
/// quantiser, to check it. The chunk must hold whole blocks but for its last.
bool KeepsPromise(const LossyChoice& choice, DType dtype, ByteSpan source, ByteSpan restored);

/// What decoding gives for `chunk`, which is what a lossy record restores. `target` is as large as `chunk`.
void RestoreChunk(const LossyChoice& choice, DType dtype, ByteSpan chunk, MutableByteSpan target);

}  // namespace flyweight
