#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

// Exponent re-centring: a weight's exponent follows the scale of its row and of its column. Subtracting a small integer
// a row and a column, the rounded log2 of its mean magnitude relative to the median, makes exponents crowd into fewer
// values; adding it back is one byte addition.

/// Mean magnitude of `count` heads, in a unit of their own. Heads of 2 bytes (BF16 or the high half of F32) or of 1
/// byte (the high half of F16).
float MeanMagnitude(const std::byte* heads, size_t head_bytes, size_t count);

/// Adds the magnitudes of one row's heads to column sums. Shapes: heads and sums hold `count` values.
void AddMagnitudes(const std::byte* heads, size_t head_bytes, size_t count, float* sums);

/// The median of the values that are finite and over 0; 0 where there is none. Reorders `values`.
float PositiveMedian(std::vector<float>& values);

/// round(log2(mean / reference)) by exact operations only, so that no math library decides bytes; 0 where either is 0
/// or not finite.
int8_t ShiftOf(float mean, float reference);

/// The shifts of a chunk's words: that of a word's row plus that of its column, modulo 256.
struct ShiftField {
  const int8_t* rows = nullptr;     ///< rows[0] is the row of the chunk's first word; null: zeros
  const int8_t* columns = nullptr;  ///< null: zeros
  uint64_t column_count = 0;        ///< 0: there are no shifts at all
  uint64_t first_word = 0;          ///< of the chunk, in the tensor

  bool empty() const { return column_count == 0; }

  /// Writes the shifts of the chunk's words [begin, begin + count).
  void Expand(uint64_t begin, size_t count, uint8_t* target) const;

  /// The shift of one word of the chunk; 0 where there are none.
  uint8_t At(uint64_t word) const;
};

/// Number of rows that words [first_word, first_word + count) touch. Precondition: count > 0.
uint64_t RowsTouched(uint64_t column_count, uint64_t first_word, uint64_t count);

}  // namespace flyweight
