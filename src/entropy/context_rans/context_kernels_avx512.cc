#include <immintrin.h>

#include "entropy/context_rans/context_kernels.h"

namespace flyweight::avx512 {
namespace {

constexpr size_t kVecLanes = 16;
constexpr size_t kVecs = kContextLanes / kVecLanes;

template <bool kContexts>
inline void Decode(DecodeContextsArgs& args) {
  const __m512i mask = _mm512_set1_epi32((1 << args.precision_bits) - 1);
  const __m128i shift = _mm_cvtsi32_si128(args.precision_bits);
  const __m512i one = _mm512_set1_epi32(1), low12 = _mm512_set1_epi32(0xFFF), limit = _mm512_set1_epi32(1 << 16);
  const uint8_t* stream = args.stream;
  const uint8_t* const overrun = args.stream_end + 1;
  const uint8_t* contexts = args.contexts;
  uint8_t* values = args.values;
  const uint32_t* const slots = args.slots;
  __m512i states[kVecs];
  for (size_t v = 0; v < kVecs; ++v) states[v] = _mm512_loadu_si512(args.states + kVecLanes * v);
  for (size_t row = 0; row < args.row_count; ++row) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kVecs; ++v) {
      __m512i x = states[v];
      __m512i index = _mm512_and_si512(x, mask);
      if constexpr (kContexts) {
        __m512i context =
            _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(contexts + kVecLanes * v)));
        index = _mm512_add_epi32(index, _mm512_sll_epi32(context, shift));
      }
      // A zeroed target, or each gather waits for the one before it in the same register.
      __m512i slot = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), 0xFFFF, index, slots, 4);
      __m512i frequency = _mm512_add_epi32(_mm512_srli_epi32(slot, 20), one);
      x = _mm512_mullo_epi32(frequency, _mm512_srl_epi32(x, shift));
      x = _mm512_add_epi32(x, _mm512_and_si512(_mm512_srli_epi32(slot, 8), low12));
      __mmask16 small = _mm512_cmplt_epu32_mask(x, limit);
      __m256i words = _mm256_maskz_expandloadu_epi16(small, stream);
      x = _mm512_mask_or_epi32(x, small, _mm512_slli_epi32(x, 16), _mm512_cvtepu16_epi32(words));
      stream += 2 * static_cast<size_t>(__builtin_popcount(small));
      states[v] = x;
      _mm_storeu_si128(reinterpret_cast<__m128i*>(values + kVecLanes * v), _mm512_cvtepi32_epi8(slot));
    }
    stream = stream < overrun ? stream : overrun;
    values += kContextLanes;
    if constexpr (kContexts) contexts += kContextLanes;
  }
  for (size_t v = 0; v < kVecs; ++v) _mm512_storeu_si512(args.states + kVecLanes * v, states[v]);
  args.stream = stream;
  args.values = values;
  args.contexts = contexts;
}

}  // namespace

void DecodeContexts(DecodeContextsArgs& args) { args.contexts != nullptr ? Decode<true>(args) : Decode<false>(args); }

}  // namespace flyweight::avx512
