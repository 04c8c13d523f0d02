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

void ProjectRows(const float* __restrict rows, size_t columns, const float* __restrict basis, float* __restrict out) {
  typedef float Lanes __attribute__((vector_size(kFactorLanes * sizeof(float))));
  Lanes a = {}, b = {}, c = {}, d = {};
  for (size_t j = 0; j < columns; ++j) {
    Lanes vectors;
    __builtin_memcpy(&vectors, basis + j * kFactorLanes, sizeof vectors);
    a += rows[j] * vectors;
    b += rows[columns + j] * vectors;
    c += rows[2 * columns + j] * vectors;
    d += rows[3 * columns + j] * vectors;
  }
  __builtin_memcpy(out, &a, sizeof a);
  __builtin_memcpy(out + kFactorLanes, &b, sizeof b);
  __builtin_memcpy(out + 2 * kFactorLanes, &c, sizeof c);
  __builtin_memcpy(out + 3 * kFactorLanes, &d, sizeof d);
}

void SpreadRow(const float* __restrict row, size_t columns, const float* __restrict weights, float* __restrict basis) {
  typedef float Lanes __attribute__((vector_size(kFactorLanes * sizeof(float))));
  Lanes factors;
  __builtin_memcpy(&factors, weights, sizeof factors);
  for (size_t j = 0; j < columns; ++j) {
    Lanes vectors;
    __builtin_memcpy(&vectors, basis + j * kFactorLanes, sizeof vectors);
    vectors += row[j] * factors;
    __builtin_memcpy(basis + j * kFactorLanes, &vectors, sizeof vectors);
  }
}
