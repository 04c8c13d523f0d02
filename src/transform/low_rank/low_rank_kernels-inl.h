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

typedef float Lanes __attribute__((vector_size(kVectorBytes)));

constexpr size_t kLanesAtOnce = kVectorBytes / sizeof(float);

inline Lanes LoadLanes(const float* at) {
  Lanes lanes;
  __builtin_memcpy(&lanes, at, sizeof lanes);
  return lanes;
}

inline void StoreLanes(Lanes lanes, float* at) { __builtin_memcpy(at, &lanes, sizeof lanes); }

}  // namespace

void ProjectRows(const float* __restrict rows, size_t columns, const float* __restrict basis, float* __restrict out) {
  for (size_t k = 0; k < kFactorLanes; k += kLanesAtOnce) {
    Lanes a = {}, b = {}, c = {}, d = {};
    for (size_t j = 0; j < columns; ++j) {
      const Lanes vectors = LoadLanes(basis + j * kFactorLanes + k);
      a += rows[j] * vectors;
      b += rows[columns + j] * vectors;
      c += rows[2 * columns + j] * vectors;
      d += rows[3 * columns + j] * vectors;
    }
    StoreLanes(a, out + k);
    StoreLanes(b, out + kFactorLanes + k);
    StoreLanes(c, out + 2 * kFactorLanes + k);
    StoreLanes(d, out + 3 * kFactorLanes + k);
  }
}

void SpreadRows(const float* __restrict rows, size_t columns, const float* __restrict weights,
                float* __restrict basis) {
  for (size_t k = 0; k < kFactorLanes; k += kLanesAtOnce) {
    const Lanes a = LoadLanes(weights + k), b = LoadLanes(weights + kFactorLanes + k);
    const Lanes c = LoadLanes(weights + 2 * kFactorLanes + k), d = LoadLanes(weights + 3 * kFactorLanes + k);
    for (size_t j = 0; j < columns; ++j) {
      Lanes vectors = LoadLanes(basis + j * kFactorLanes + k);
      vectors += rows[j] * a;
      vectors += rows[columns + j] * b;
      vectors += rows[2 * columns + j] * c;
      vectors += rows[3 * columns + j] * d;
      StoreLanes(vectors, basis + j * kFactorLanes + k);
    }
  }
}
