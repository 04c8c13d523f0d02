#include <immintrin.h>

#include "transform/low_rank/low_rank_kernels.h"

namespace flyweight::avx512 {
constexpr size_t kVectorBytes = 64;
#include "transform/low_rank/low_rank_kernels-inl.h"

namespace {

using Words = __m512i;
using Floats = __m512;
constexpr size_t kLanes = sizeof(Floats) / sizeof(float);

inline Words Zero() { return _mm512_setzero_si512(); }

inline Words Pair(const int16_t* left) {
  int32_t pair;
  __builtin_memcpy(&pair, left, sizeof pair);
  return _mm512_set1_epi32(pair);
}

inline Words AddProducts(Words sum, Words factors, const int16_t* right) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(factors, _mm512_loadu_si512(right)));
}

inline void Subtract(Words sum, float scale, float* values) {
  const Floats value = _mm512_loadu_ps(values);
  const Floats lowered = _mm512_sub_ps(value, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale)));
  const Words exponents = _mm512_set1_epi32(0x7F800000);
  const __mmask16 special = _mm512_cmpeq_epi32_mask(_mm512_and_si512(_mm512_castps_si512(value), exponents), exponents);
  _mm512_storeu_ps(values, _mm512_mask_mov_ps(lowered, special, value));
}

}  // namespace

#include "transform/low_rank/low_rank_subtract-inl.h"

}  // namespace flyweight::avx512
