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

#include "transform/low_rank/low_rank_subtract-inl.h"

}  // namespace flyweight::avx2
