#include <immintrin.h>

#include <cstring>

#include "entropy/context_rans/context_kernels.h"

namespace flyweight::avx2 {
namespace {

constexpr size_t kVecLanes = 8;
constexpr size_t kVecs = kContextLanes / kVecLanes;

// For each mask of lanes that take a word: which of the next eight words each lane takes.
struct ExpandTable {
  alignas(64) uint8_t word[256][8];
};

constexpr ExpandTable MakeExpandTable() {
  ExpandTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    uint8_t next = 0;
    for (unsigned lane = 0; lane < 8; ++lane) table.word[mask][lane] = mask >> lane & 1 ? next++ : uint8_t{0};
  }
  return table;
}

constexpr ExpandTable kExpand = MakeExpandTable();

// Packing works in halves of 128 bits, so the result is put in order at the end.
inline void StoreValues(const __m256i* slots, uint8_t* values) {
  __m256i a = _mm256_packus_epi32(slots[0], slots[1]), b = _mm256_packus_epi32(slots[2], slots[3]);
  __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(values), packed);
}

template <bool kContexts>
inline void Decode(DecodeContextsArgs& args) {
  const __m256i mask = _mm256_set1_epi32((1 << args.precision_bits) - 1);
  const __m128i shift = _mm_cvtsi32_si128(args.precision_bits);
  const __m256i one = _mm256_set1_epi32(1), low12 = _mm256_set1_epi32(0xFFF), zero = _mm256_setzero_si256();
  const __m256i low_bytes = _mm256_set1_epi32(0xFF);
  const uint8_t* stream = args.stream;
  const uint8_t* const overrun = args.stream_end + 1;
  const uint8_t* contexts = args.contexts;
  uint8_t* values = args.values;
  const uint32_t* const slots_table = args.slots;
  const __m256i all = _mm256_set1_epi32(-1);
  __m256i states[kVecs], slots[kVecs];
  for (size_t v = 0; v < kVecs; ++v)
    states[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(args.states + kVecLanes * v));
  for (size_t row = 0; row < args.row_count; ++row) {
#pragma GCC unroll 8
    for (size_t v = 0; v < kVecs; ++v) {
      __m256i x = states[v];
      __m256i index = _mm256_and_si256(x, mask);
      if constexpr (kContexts) {
        __m256i context =
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(contexts + kVecLanes * v)));
        index = _mm256_add_epi32(index, _mm256_sll_epi32(context, shift));
      }
      __m256i slot = _mm256_mask_i32gather_epi32(zero, reinterpret_cast<const int*>(slots_table), index, all, 4);
      __m256i frequency = _mm256_add_epi32(_mm256_srli_epi32(slot, 20), one);
      x = _mm256_mullo_epi32(frequency, _mm256_srl_epi32(x, shift));
      x = _mm256_add_epi32(x, _mm256_and_si256(_mm256_srli_epi32(slot, 8), low12));
      __m256i small = _mm256_cmpeq_epi32(_mm256_srli_epi32(x, 16), zero);
      auto lanes = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(small)));
      __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(stream)));
      __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(kExpand.word[lanes])));
      words = _mm256_permutevar8x32_epi32(words, order);
      x = _mm256_blendv_epi8(x, _mm256_or_si256(_mm256_slli_epi32(x, 16), words), small);
      stream += 2 * static_cast<size_t>(__builtin_popcount(lanes));
      states[v] = x;
      slots[v] = _mm256_and_si256(slot, low_bytes);
    }
    StoreValues(slots, values);
    StoreValues(slots + 4, values + 32);
    stream = stream < overrun ? stream : overrun;
    values += kContextLanes;
    if constexpr (kContexts) contexts += kContextLanes;
  }
  for (size_t v = 0; v < kVecs; ++v)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.states + kVecLanes * v), states[v]);
  args.stream = stream;
  args.values = values;
  args.contexts = contexts;
}

}  // namespace

void DecodeContexts(DecodeContextsArgs& args) { args.contexts != nullptr ? Decode<true>(args) : Decode<false>(args); }

}  // namespace flyweight::avx2
