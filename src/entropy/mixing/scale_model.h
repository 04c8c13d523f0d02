#pragma once

#include <algorithm>
#include <cstdint>

#include "entropy/mixing/mixing_tables.h"

namespace flyweight {

/// What is known of a column of the matrix that a chunk is read as.
struct MixedColumn {
  int32_t scale = 0;  ///< log2 of its magnitudes over those of the chunk, in units of 2^-16
  int32_t mean = 0;   ///< of its values, in units of 1/16
  int32_t above = 0;  ///< its last value
  uint32_t uses = 0;
};

/// The magnitude that is expected of a word: 2^(bits / 256).
struct ExpectedScale {
  int octave = 0;        ///< whole powers of two
  uint32_t phase = 0;    ///< quarters of a power of two
  uint32_t inverse = 0;  ///< 2^16 / 2^(the rest)
};

/// Learns the scale of rows and columns word by word (docs/format.md section 3.12.4): the logarithms of both add up,
/// and both take a step along the gradient of the likelihood of a two-sided exponential distribution.
class ScaleModel {
 public:
  explicit ScaleModel(int32_t chunk_scale) : chunk_scale_(chunk_scale) {}

  void StartRow() {
    row_start_ += (row_ - row_start_) >> 3;
    row_ = row_start_;
    row_uses_ = 0;
  }

  ExpectedScale Expect(const MixedColumn& column) const {
    int32_t scale = std::clamp(chunk_scale_ + ((row_ + column.scale) >> 8), kMinScale, kMaxScale);
    auto bits = static_cast<uint32_t>(scale);
    return {scale >> 8, bits >> 6 & 3, kInversePower[bits >> 4 & 15]};
  }

  /// `error` is how far the value was from what was predicted, without its sign.
  void Learn(const ExpectedScale& expected, uint32_t error, MixedColumn& column) {
    auto ratio = static_cast<int64_t>((uint64_t{error} * expected.inverse) >> (expected.octave + 4));
    int64_t step = (std::min<int64_t>(ratio, 6 << 12) - (1 << 12)) * 23;
    row_ = Step(row_, step, std::min<uint32_t>(row_uses_ + 12, 200));
    column.scale = Step(column.scale, step, std::min<uint32_t>(column.uses + 20, 1000));
    ++row_uses_;
  }

  static void LearnMean(int32_t value, MixedColumn& column) {
    uint32_t uses = std::min<uint32_t>(column.uses + 6, 200);
    column.mean += static_cast<int32_t>((int64_t{value * 16 - column.mean} * kReciprocal[uses]) >> 16);
  }

 private:
  static constexpr int32_t kMinScale = 256;
  static constexpr int32_t kMaxScale = 18 * 256 - 1;
  static constexpr int64_t kLimit = 16 << 16;

  static int32_t Step(int32_t scale, int64_t step, uint32_t uses) {
    return static_cast<int32_t>(std::clamp(scale + ((step * kReciprocal[uses]) >> 16), -kLimit, kLimit));
  }

  int32_t chunk_scale_;
  int32_t row_start_ = 0;
  int32_t row_ = 0;
  uint32_t row_uses_ = 0;
};

}  // namespace flyweight
