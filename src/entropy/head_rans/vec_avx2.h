#pragma once

// The handful of byte-vector operations that the head kernels are written in, for AVX2 with BMI2. A block is two
// vectors.
#include <immintrin.h>

#include <cstring>

#include "entropy/head_rans/head_kernels.h"
#include "entropy/head_rans/lane_shuffles.h"

namespace flyweight::avx2 {

using Vec = __m256i;
inline constexpr size_t kVecBytes = 32;

static inline Vec Load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
static inline void Store(void* p, Vec v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
static inline __m128i LoadHalf(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
static inline Vec Repeat16(const uint8_t* p) { return _mm256_broadcastsi128_si256(LoadHalf(p)); }
static inline Vec Set8(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
static inline Vec Set16(int x) { return _mm256_set1_epi16(static_cast<short>(x)); }
static inline Vec Zero() { return _mm256_setzero_si256(); }
static inline Vec And(Vec a, Vec b) { return _mm256_and_si256(a, b); }
/// ~a & b.
static inline Vec AndNot(Vec a, Vec b) { return _mm256_andnot_si256(a, b); }
static inline Vec Or(Vec a, Vec b) { return _mm256_or_si256(a, b); }
static inline Vec Add8(Vec a, Vec b) { return _mm256_add_epi8(a, b); }
static inline Vec Sub8(Vec a, Vec b) { return _mm256_sub_epi8(a, b); }
static inline Vec Add16(Vec a, Vec b) { return _mm256_add_epi16(a, b); }
static inline Vec Sub16(Vec a, Vec b) { return _mm256_sub_epi16(a, b); }
static inline Vec Mul16(Vec a, Vec b) { return _mm256_mullo_epi16(a, b); }
static inline Vec MulHigh16(Vec a, Vec b) { return _mm256_mulhi_epu16(a, b); }
static inline Vec Min16(Vec a, Vec b) { return _mm256_min_epu16(a, b); }
static inline Vec UnpackLow8(Vec a, Vec b) { return _mm256_unpacklo_epi8(a, b); }
static inline Vec UnpackHigh8(Vec a, Vec b) { return _mm256_unpackhi_epi8(a, b); }
static inline Vec Pack16(Vec a, Vec b) { return _mm256_packus_epi16(a, b); }
template <int kBits>
static inline Vec ShiftRight16(Vec a) {
  return _mm256_srli_epi16(a, kBits);
}
template <int kBits>
static inline Vec ShiftLeft16(Vec a) {
  return _mm256_slli_epi16(a, kBits);
}
static inline Vec RotateRight16(Vec a) { return Or(ShiftRight16<1>(a), ShiftLeft16<15>(a)); }
static inline Vec RotateLeft16(Vec a) { return Or(ShiftLeft16<1>(a), ShiftRight16<15>(a)); }
/// Even bytes of `even`, odd bytes of `odd`.
static inline Vec Interleave(Vec even, Vec odd) {
  return _mm256_blendv_epi8(even, odd, _mm256_set1_epi16(static_cast<short>(0xFF00)));
}
/// Bit 7 of `top`, the other bits of `rest`.
static inline Vec TopBit(Vec top, Vec rest) { return Or(And(top, Set8(-128)), And(rest, Set8(127))); }
/// The complement of bit 7 of `top`, the other bits of `rest`.
static inline Vec NegatedTopBit(Vec top, Vec rest) {
  return Or(_mm256_andnot_si256(top, Set8(-128)), And(rest, Set8(127)));
}

/// Loads half `half` of 64 bytes in element order as one vector in position order, and the reverse. `p` is the block's
/// first byte.
static inline Vec LoadElements(const uint8_t* p, size_t half) {
  Vec both = _mm256_inserti128_si256(_mm256_castsi128_si256(LoadHalf(p + 16 * half)), LoadHalf(p + 32 + 16 * half), 1);
  return _mm256_permute4x64_epi64(both, 0xD8);
}
static inline void StoreElements(uint8_t* p, size_t half, Vec v) {
  Vec sorted = _mm256_permute4x64_epi64(v, 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * half), _mm256_castsi256_si128(sorted));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 32 + 16 * half), _mm256_extracti128_si256(sorted, 1));
}

/// A table of 32 bytes, for symbols 0 to 31.
struct SymbolTable {
  Vec low, high;
  explicit SymbolTable(const uint8_t* bytes) : low(Repeat16(bytes)), high(Repeat16(bytes + 16)) {}
  Vec At(Vec symbols) const {
    // Symbols are under 32, so bit 4 of each byte, moved to its top, chooses the half.
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(low, symbols), _mm256_shuffle_epi8(high, symbols),
                              ShiftLeft16<3>(symbols));
  }
};

/// slot -> (exponent, frequency, offset inside the symbol, complement of the top mantissa bit in bit 7 of `clear_bit`),
/// by the two-level lookup.
struct SlotLookup {
  Vec group_rank, rank_first_slot, frequency0, frequency1, exponent;
  Vec thresholds[16];
  int threshold_count;
  explicit SlotLookup(const HeadCoder& coder)
      : group_rank(Repeat16(coder.group_rank)),
        rank_first_slot(Repeat16(coder.rank_first_slot)),
        frequency0(Repeat16(coder.rank_frequency0)),
        frequency1(Repeat16(coder.rank_frequency1)),
        exponent(Repeat16(coder.rank_exponent)),
        threshold_count(coder.threshold_count) {
    for (int k = 0; k < 16; ++k) thresholds[k] = Repeat16(coder.thresholds[k]);
  }
  /// kThresholds: how many thresholds to test; 0: as many as the table has.
  template <int kThresholds>
  void Find(Vec slots, Vec& exponents, Vec& frequencies, Vec& offsets, Vec& clear_bits) const {
    Vec groups = And(ShiftRight16<4>(slots), Set8(15));
    Vec signed_slots = _mm256_xor_si256(slots, Set8(0x80));
    Vec ranks = _mm256_shuffle_epi8(group_rank, groups);
    const int count = kThresholds != 0 ? kThresholds : threshold_count;
    for (int k = 0; k < count; ++k) {
      ranks = Sub8(ranks, _mm256_cmpgt_epi8(signed_slots, _mm256_shuffle_epi8(thresholds[k], groups)));
    }
    Vec inside = Sub8(slots, _mm256_shuffle_epi8(rank_first_slot, ranks));
    Vec first = _mm256_shuffle_epi8(frequency0, ranks);
    exponents = _mm256_shuffle_epi8(exponent, ranks);
    // Below the first symbol's frequency the difference wraps round to more than there was.
    offsets = _mm256_min_epu8(inside, Sub8(inside, first));
    clear_bits = _mm256_cmpeq_epi8(offsets, inside);
    frequencies = _mm256_blendv_epi8(_mm256_shuffle_epi8(frequency1, ranks), first, clear_bits);
  }
};

/// exponent -> rank, 255 outside the palette: one shuffle for each group of 16 exponents that has a rank at all.
struct RankLookup {
  Vec table[16], group[16];
  int count = 0;
  explicit RankLookup(const HeadCoder& coder) {
    for (int g = 0; g < 16; ++g) {
      uint8_t ranks_plus_one[16];
      bool any = false;
      for (int i = 0; i < 16; ++i) {
        ranks_plus_one[i] = static_cast<uint8_t>(coder.rank_of_exponent[16 * g + i] + 1);
        any |= ranks_plus_one[i] != 0;
      }
      if (!any) continue;
      group[count] = Set8(16 * g);
      table[count++] = Repeat16(ranks_plus_one);
    }
  }
  Vec Find(Vec exponents) const {
    Vec ranks_plus_one = Zero();
    for (int i = 0; i < count; ++i) {
      // 0x70 to 0x7F for the exponents of the group, over 0x7F for all others, which shuffle to 0.
      Vec index = _mm256_adds_epu8(_mm256_xor_si256(exponents, group[i]), Set8(0x70));
      ranks_plus_one = Or(ranks_plus_one, _mm256_shuffle_epi8(table[i], index));
    }
    return Sub8(ranks_plus_one, Set8(1));
  }
};

static inline uint64_t TopBits(Vec v) { return static_cast<uint32_t>(_mm256_movemask_epi8(v)); }
/// `v` itself marks the lanes (bit 7).
static inline Vec ReplaceMarked(Vec v, Vec replacement, uint64_t) { return _mm256_blendv_epi8(v, replacement, v); }

static inline __m128i LoadPair(const uint8_t* low8, const uint8_t* high8) {
  __m128d low = _mm_castsi128_pd(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(low8)));
  return _mm_castpd_si128(_mm_loadh_pd(low, reinterpret_cast<const double*>(high8)));
}

/// Lanes whose high byte is 0 take the next byte of the stream, in ascending order. Which byte of the 16 that follow is
/// a lane's is one less than the number of such lanes up to it, a prefix sum in each half; other lanes get anything.
static inline void RenormaliseDecoder(Vec& low, Vec& high, const uint8_t*& stream) {
  Vec empty = _mm256_cmpeq_epi8(high, Zero());
  auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(empty));
  Vec bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(LoadHalf(stream)),
                                      LoadHalf(stream + __builtin_popcount(mask & 0xFFFF)), 1);
  Vec count = Add8(empty, _mm256_slli_si256(empty, 1));
  count = Add8(count, _mm256_slli_si256(count, 2));
  count = Add8(count, _mm256_slli_si256(count, 4));
  count = Add8(count, _mm256_slli_si256(count, 8));
  Vec taken = _mm256_shuffle_epi8(bytes, _mm256_xor_si256(count, Set8(-1)));
  stream += __builtin_popcount(mask);
  high = Or(high, And(low, empty));
  low = _mm256_blendv_epi8(low, taken, empty);
}

// Writes the compressed bytes of 8 lanes below `stream`; what lies under them is overwritten later.
static inline void Emit8(uint64_t bytes, uint32_t lanes8, uint8_t*& stream) {
  std::memcpy(stream - 8, &bytes, 8);
  stream -= __builtin_popcount(lanes8);
}

/// Lanes with high >= frequency give their low byte to the stream, which grows downwards.
static inline void RenormaliseEncoder(Vec& low, Vec& high, Vec frequencies, uint8_t*& stream) {
  Vec full = _mm256_cmpeq_epi8(_mm256_max_epu8(high, frequencies), high);
  auto mask = static_cast<uint32_t>(_mm256_movemask_epi8(full));
  uint32_t lanes[4] = {mask & 0xFF, mask >> 8 & 0xFF, mask >> 16 & 0xFF, mask >> 24};
  __m128i first = LoadPair(kLaneShuffles.compress[0][lanes[0]], kLaneShuffles.compress[1][lanes[1]]);
  __m128i second = LoadPair(kLaneShuffles.compress[0][lanes[2]], kLaneShuffles.compress[1][lanes[3]]);
  Vec packed = _mm256_shuffle_epi8(low, _mm256_set_m128i(second, first));
  Emit8(static_cast<uint64_t>(_mm256_extract_epi64(packed, 3)), lanes[3], stream);
  Emit8(static_cast<uint64_t>(_mm256_extract_epi64(packed, 2)), lanes[2], stream);
  Emit8(static_cast<uint64_t>(_mm256_extract_epi64(packed, 1)), lanes[1], stream);
  Emit8(static_cast<uint64_t>(_mm256_extract_epi64(packed, 0)), lanes[0], stream);
  low = _mm256_blendv_epi8(low, high, full);
  high = _mm256_andnot_si256(full, high);
}

/// quotient + 1 where remainder and corrected remainder differ.
static inline Vec CorrectQuotient(Vec quotient, Vec remainder, Vec corrected) {
  return Add8(Add8(quotient, Set8(1)), _mm256_cmpeq_epi8(remainder, corrected));
}

}  // namespace flyweight::avx2
