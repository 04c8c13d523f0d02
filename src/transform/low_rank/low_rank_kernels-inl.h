// Included once for each instruction set inside its namespace; no include guard. Every component has a sum of its own
// and columns are added in ascending order, so all instruction sets give the same sums.

namespace {

inline float Subtracted(float value, uint32_t sum, float scale) {
  const uint32_t exponent = __builtin_bit_cast(uint32_t, value) & 0x7F800000U;
  const float lowered = value - static_cast<float>(static_cast<int32_t>(sum)) * scale;
  return exponent == 0x7F800000U ? value : lowered;
}

inline uint32_t Product(int16_t a, int16_t b) { return static_cast<uint32_t>(int32_t{a} * int32_t{b}); }

// Columns [begin, count), one by one.
inline void SubtractColumns(const int16_t* left, const int16_t* right, size_t pair_count, size_t stride, size_t begin,
                            size_t count, float scale, float* values) {
  for (size_t j = begin; j < count; ++j) {
    uint32_t sum = 0;
    for (size_t p = 0; p < pair_count; ++p) {
      const int16_t* at = right + p * stride + 2 * j;
      sum += Product(left[2 * p], at[0]) + Product(left[2 * p + 1], at[1]);
    }
    values[j] = Subtracted(values[j], sum, scale);
  }
}

}  // namespace

void ProjectRow(const float* __restrict row, size_t columns, const float* __restrict basis, float* __restrict out) {
  float sums[kFactorLanes] = {};
  for (size_t j = 0; j < columns; ++j) {
    const float value = row[j];
    for (size_t k = 0; k < kFactorLanes; ++k) sums[k] += value * basis[j * kFactorLanes + k];
  }
  for (size_t k = 0; k < kFactorLanes; ++k) out[k] = sums[k];
}

void SpreadRow(const float* __restrict row, size_t columns, const float* __restrict weights, float* __restrict basis) {
  for (size_t j = 0; j < columns; ++j) {
    const float value = row[j];
    for (size_t k = 0; k < kFactorLanes; ++k) basis[j * kFactorLanes + k] += value * weights[k];
  }
}
