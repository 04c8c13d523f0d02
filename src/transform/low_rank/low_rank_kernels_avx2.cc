#include <immintrin.h>

#include "transform/low_rank/low_rank_kernels.h"

namespace flyweight::avx2 {
constexpr size_t kVectorBytes = 32;
#include "transform/low_rank/low_rank_kernels-inl.h"

namespace {

using Words = __m256i;
using Floats = __m256;
constexpr size_t kLanes = sizeof(Floats) / sizeof(float);

inline Words Zero() { return _mm256_setzero_si256(); }

inline Words Pair(const int16_t* left) {
  int32_t pair;
  __builtin_memcpy(&pair, left, sizeof pair);
  return _mm256_set1_epi32(pair);
}

inline Words AddProducts(Words sum, Words factors, const int16_t* right) {
  const Words columns = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(right));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(factors, columns));
}

inline void Subtract(Words sum, float scale, float* values) {
  const Floats value = _mm256_loadu_ps(values);
  const Floats lowered = _mm256_sub_ps(value, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_set1_ps(scale)));
  const Words exponents = _mm256_set1_epi32(0x7F800000);
  const Words special = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_castps_si256(value), exponents), exponents);
  _mm256_storeu_ps(values, _mm256_blendv_ps(lowered, value, _mm256_castsi256_ps(special)));
}

}  // namespace

void SubtractProduct(const int16_t* left, const int16_t* right, size_t pair_count, size_t stride, size_t count,
                     float scale, float* values) {
  size_t begin = 0;
  for (; begin + 4 * kLanes <= count; begin += 4 * kLanes) {
    Words a = Zero(), b = Zero(), c = Zero(), d = Zero();
    for (size_t p = 0; p < pair_count; ++p) {
      const Words factors = Pair(left + 2 * p);
      const int16_t* at = right + p * stride + 2 * begin;
      a = AddProducts(a, factors, at);
      b = AddProducts(b, factors, at + 2 * kLanes);
      c = AddProducts(c, factors, at + 4 * kLanes);
      d = AddProducts(d, factors, at + 6 * kLanes);
    }
    Subtract(a, scale, values + begin);
    Subtract(b, scale, values + begin + kLanes);
    Subtract(c, scale, values + begin + 2 * kLanes);
    Subtract(d, scale, values + begin + 3 * kLanes);
  }
  for (; begin + kLanes <= count; begin += kLanes) {
    Words sum = Zero();
    for (size_t p = 0; p < pair_count; ++p) sum = AddProducts(sum, Pair(left + 2 * p), right + p * stride + 2 * begin);
    Subtract(sum, scale, values + begin);
  }
  SubtractColumns(left, right, pair_count, stride, begin, count, scale, values);
}

}  // namespace flyweight::avx2
