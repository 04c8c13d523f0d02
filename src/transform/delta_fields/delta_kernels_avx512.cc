#include <immintrin.h>

#include "transform/delta_fields/delta_kernels.h"

namespace flyweight::avx512 {
namespace {
#include "transform/delta_fields/delta_group-inl.h"

using Bytes64 = __m512i;

inline Bytes64 Fill(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
inline Bytes64 LoadBytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline void StoreBytes(uint8_t* p, Bytes64 v) { _mm512_storeu_si512(p, v); }
inline Bytes64 And(Bytes64 a, Bytes64 b) { return _mm512_and_si512(a, b); }
inline Bytes64 Or(Bytes64 a, Bytes64 b) { return _mm512_or_si512(a, b); }
inline Bytes64 Add(Bytes64 a, Bytes64 b) { return _mm512_add_epi8(a, b); }
inline Bytes64 SubtractOrZero(Bytes64 a, Bytes64 b) { return _mm512_subs_epu8(a, b); }
inline Bytes64 Least(Bytes64 a, Bytes64 b) { return _mm512_min_epu8(a, b); }
/// Bytes under 64 times 4; bytes divided by 4.
inline Bytes64 TimesFour(Bytes64 a) { return _mm512_slli_epi16(a, 2); }
inline Bytes64 Quarter(Bytes64 a) { return And(_mm512_srli_epi16(a, 2), Fill(63)); }
inline uint64_t AtLeast(Bytes64 a, Bytes64 b) { return _mm512_cmpge_epu8_mask(a, b); }
inline uint64_t TopBits(Bytes64 a) { return _mm512_movepi8_mask(a); }
inline uint64_t BitOf(Bytes64 a, int bit) { return _mm512_test_epi8_mask(a, Fill(1 << bit)); }
inline Bytes64 Choose(uint64_t mask, Bytes64 set, Bytes64 clear) { return _mm512_mask_mov_epi8(clear, mask, set); }
inline Bytes64 AddBit(Bytes64 a, uint64_t mask, int bit) { return _mm512_mask_add_epi8(a, mask, a, Fill(1 << bit)); }
inline uint64_t Extract(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
inline uint64_t Deposit(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }
inline Bytes64 Repeat16(const uint8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Bytes64 ClassBases(Bytes64 symbols) { return _mm512_shuffle_epi8(Repeat16(kClassBase), symbols); }

struct TableOf64 {
  Bytes64 table;
  explicit TableOf64(const uint8_t* bytes) : table(LoadBytes(bytes)) {}
  Bytes64 At(Bytes64 index) const { return _mm512_permutexvar_epi8(index, table); }
};

template <typename Words>
inline Bytes64 ExponentsOf(const uint8_t* words) {
  if constexpr (sizeof(typename Words::Word) == 4) {
    __m128i part[4];
    for (int i = 0; i < 4; ++i)
      part[i] = _mm512_cvtepi32_epi8(_mm512_srli_epi32(LoadBytes(words + 64 * i), Words::kExponentShift));
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set_m128i(part[1], part[0])),
                              _mm256_set_m128i(part[3], part[2]), 1);
  } else {
    auto half = [&](int i) {
      return _mm512_cvtepi16_epi8(And(_mm512_srli_epi16(LoadBytes(words + 64 * i), Words::kExponentShift),
                                      _mm512_set1_epi16(Words::kExponentMask)));
    };
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(1), 1);
  }
}

// 0 to 127 in two registers; all above have class 14.
struct ClassTable {
  alignas(64) uint8_t bytes[128];
};
constexpr ClassTable MakeClassTable() {
  ClassTable table{};
  for (int symbol = 0; symbol < 14; ++symbol) {
    for (int size = kClassBase[symbol]; size < kClassBase[symbol + 1]; ++size)
      table.bytes[size] = static_cast<uint8_t>(symbol);
  }
  return table;
}
constexpr ClassTable kClassTable = MakeClassTable();

inline Bytes64 ClassesOf(Bytes64 sizes) {
  Bytes64 small = _mm512_permutex2var_epi8(LoadBytes(kClassTable.bytes), sizes, LoadBytes(kClassTable.bytes + 64));
  return Choose(TopBits(sizes), Fill(14), small);
}

inline __m512i Ordered16(__m512i words) {
  return _mm512_xor_si512(words, _mm512_srli_epi16(_mm512_srai_epi16(words, 15), 1));
}

/// Sizes of differences of 16 bits (the low bytes), which are over 255, and which differences are negative.
inline void SizesOf16(const uint8_t* base, const uint8_t* words, Bytes64& low_bytes, uint64_t& beyond,
                      uint64_t& negative) {
  __m512i low[2];
  beyond = negative = 0;
  for (int i = 0; i < 2; ++i) {
    __m512i d = _mm512_sub_epi16(Ordered16(LoadBytes(words + 64 * i)), Ordered16(LoadBytes(base + 64 * i)));
    low[i] = _mm512_abs_epi16(d);
    beyond |= uint64_t{_mm512_cmpgt_epu16_mask(low[i], _mm512_set1_epi16(255))} << (32 * i);
    negative |= uint64_t{_mm512_movepi16_mask(d)} << (32 * i);
  }
  low_bytes = _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(low[0])), _mm512_cvtepi16_epi8(low[1]), 1);
}

inline void Apply16(const uint8_t* base, Bytes64 sizes, uint64_t negative, uint8_t* words) {
  for (int i = 0; i < 2; ++i) {
    __m256i half = i == 0 ? _mm512_castsi512_si256(sizes) : _mm512_extracti64x4_epi64(sizes, 1);
    __m512i size = _mm512_cvtepu8_epi16(half);
    size = _mm512_mask_sub_epi16(size, static_cast<__mmask32>(negative >> (32 * i)), _mm512_setzero_si512(), size);
    StoreBytes(words + 64 * i, Ordered16(_mm512_add_epi16(Ordered16(LoadBytes(base + 64 * i)), size)));
  }
}

#include "transform/delta_fields/delta_kernels-inl.h"
}  // namespace
#include "transform/delta_fields/delta_entry-inl.h"
}  // namespace flyweight::avx512
