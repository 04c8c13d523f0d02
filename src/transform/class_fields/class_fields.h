#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "flyweight/tensor.h"
#include "transform/float_fields/float_fields.h"

namespace flyweight {

/// What words are cut into for coding in classes (docs/format.md section 3.8). Numbers are frozen; 1 to 3 are those of
/// FloatLayout.
enum class ClassLayout : uint8_t { kBF16 = 1, kF16 = 2, kF32 = 3, kF8 = 4 };

struct ClassLayoutInfo {
  size_t word_bytes;
  size_t head_bytes;       ///< 2 or 1
  size_t low_plane_count;  ///< planes below the head
};

const ClassLayoutInfo& Describe(ClassLayout layout);

/// The layout of a dtype's words, if it has one.
std::optional<ClassLayout> ClassLayoutOf(DType dtype);

/// The classes of words: that of the row plus that of the column. A class is a scale in steps of 2^-context_bits
/// octaves: its whole octaves shift exponents, the rest is the context. Words of 8 bits have contexts only.
struct ClassField {
  const int8_t* rows = nullptr;     ///< rows[0] is the row of the chunk's first word; null: zeros
  const int8_t* columns = nullptr;  ///< null: zeros
  uint64_t column_count = 0;        ///< 0: all classes are 0
  uint64_t first_word = 0;          ///< of the chunk, in the tensor
  unsigned context_bits = 0;
  bool shifts = true;  ///< false: contexts only

  /// Writes contexts and shifts of the chunk's words [begin, begin + count). Shapes: count bytes each; `shifts_out` is
  /// left alone where there are only contexts.
  void Expand(uint64_t begin, size_t count, uint8_t* contexts, uint8_t* shifts_out) const;
};

/// Classes are within [-kClassLimit, kClassLimit), so that the sum of two fits a byte.
inline constexpr int kClassLimit = 64;
inline constexpr unsigned kMaxContextBits = 4;

/// round(2^context_bits * log2(mean / reference)) by integers, limited to the range of classes; 0 where either is 0 or
/// not finite.
int8_t ClassOf(float mean, float reference, unsigned context_bits);

/// Fields of 16-bit heads: symbol = (exponent - shift - base, modulo 256) << 2 | top 2 mantissa bits where that
/// difference is under 64, else `outside` is set to 1. Shapes: count each.
struct HeadFields {
  uint8_t* symbols;
  uint8_t* signs;
  uint8_t* nibbles;  ///< the low 4 mantissa bits; 16-bit heads only
  uint8_t* bits;     ///< the mantissa bit above them; 16-bit heads only
  uint8_t* outside;  ///< encoding only
};

/// Cuts heads of 2 or 1 bytes. `shifts` may be null. 8-bit heads of kF8 have their low 7 bits as symbol.
void SplitHeads(ClassLayout layout, const std::byte* heads, size_t count, const uint8_t* shifts, uint8_t base,
                const HeadFields& fields);

/// The inverse of SplitHeads for symbols that are not outside.
void JoinHeads(ClassLayout layout, const HeadFields& fields, size_t count, const uint8_t* shifts, uint8_t base,
               std::byte* heads);

/// Heads of 16 bits whose magnitudes are those of 8-bit floats, for measuring scales. `dtype` is one of the F8 types.
void WidenF8(DType dtype, const std::byte* words, size_t count, std::byte* heads);

}  // namespace flyweight
