#pragma once

// The handful of byte-vector operations that the head kernels are written in, for AVX-512 with VBMI2. A block is one
// vector.
#include <immintrin.h>

#include <cstring>

#include "entropy/head_rans/head_kernels.h"

namespace flyweight::avx512 {

using Vec = __m512i;
inline constexpr size_t kVecBytes = 64;

static inline Vec Load(const void* p) { return _mm512_loadu_si512(p); }
static inline void Store(void* p, Vec v) { _mm512_storeu_si512(p, v); }
static inline Vec Set8(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
static inline Vec Set16(int x) { return _mm512_set1_epi16(static_cast<short>(x)); }
static inline Vec Zero() { return _mm512_setzero_si512(); }
static inline Vec And(Vec a, Vec b) { return _mm512_and_si512(a, b); }
/// ~a & b.
static inline Vec AndNot(Vec a, Vec b) { return _mm512_andnot_si512(a, b); }
static inline Vec Or(Vec a, Vec b) { return _mm512_or_si512(a, b); }
static inline Vec Add8(Vec a, Vec b) { return _mm512_add_epi8(a, b); }
static inline Vec Sub8(Vec a, Vec b) { return _mm512_sub_epi8(a, b); }
static inline Vec Add16(Vec a, Vec b) { return _mm512_add_epi16(a, b); }
static inline Vec Sub16(Vec a, Vec b) { return _mm512_sub_epi16(a, b); }
static inline Vec Mul16(Vec a, Vec b) { return _mm512_mullo_epi16(a, b); }
static inline Vec MulHigh16(Vec a, Vec b) { return _mm512_mulhi_epu16(a, b); }
static inline Vec Min16(Vec a, Vec b) { return _mm512_min_epu16(a, b); }
static inline Vec UnpackLow8(Vec a, Vec b) { return _mm512_unpacklo_epi8(a, b); }
static inline Vec UnpackHigh8(Vec a, Vec b) { return _mm512_unpackhi_epi8(a, b); }
static inline Vec Pack16(Vec a, Vec b) { return _mm512_packus_epi16(a, b); }
template <int kBits>
static inline Vec ShiftRight16(Vec a) {
  return _mm512_srli_epi16(a, kBits);
}
template <int kBits>
static inline Vec ShiftLeft16(Vec a) {
  return _mm512_slli_epi16(a, kBits);
}
static inline Vec RotateRight16(Vec a) { return _mm512_shrdi_epi16(a, a, 1); }
static inline Vec RotateLeft16(Vec a) { return _mm512_shldi_epi16(a, a, 1); }
/// Even bytes of `even`, odd bytes of `odd`.
static inline Vec Interleave(Vec even, Vec odd) { return _mm512_mask_blend_epi8(0xAAAAAAAAAAAAAAAAull, even, odd); }
/// Bit 7 of `top`, the other bits of `rest`.
/// The complement of bit 7 of `top`, the other bits of `rest`.
static inline Vec NegatedTopBit(Vec top, Vec rest) { return _mm512_ternarylogic_epi32(Set8(-128), top, rest, 0x3A); }
static inline Vec TopBit(Vec top, Vec rest) { return _mm512_ternarylogic_epi32(Set8(-128), top, rest, 0xCA); }

/// Loads 64 bytes in element order as one vector in position order, and the reverse.
static inline Vec LoadElements(const uint8_t* p, size_t) {
  return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), Load(p));
}
static inline void StoreElements(uint8_t* p, size_t, Vec v) {
  Store(p, _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), v));
}

/// A table of 64 bytes, of which symbols (0 to 31) use 32.
struct SymbolTable {
  Vec table;
  explicit SymbolTable(const uint8_t* bytes) : table(Load(bytes)) {}
  Vec At(Vec symbols) const { return _mm512_permutexvar_epi8(symbols, table); }
};

static inline Vec Lookup256(const Vec* quarters, Vec index) {
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), _mm512_permutex2var_epi8(quarters[0], index, quarters[1]),
                                _mm512_permutex2var_epi8(quarters[2], index, quarters[3]));
}

/// slot -> (exponent, frequency, offset inside the symbol, complement of the top mantissa bit in bit 7 of `clear_bit`).
/// The next state waits for frequency and offset, so these come straight from the slot.
struct SlotLookup {
  Vec frequency[4], offset[4];
  Vec other_symbol[4];  ///< of the same exponent
  SymbolTable exponent;
  explicit SlotLookup(const HeadCoder& coder) : exponent(coder.exponent) {
    for (int i = 0; i < 4; ++i) {
      frequency[i] = Load(coder.slot_frequency + 64 * i);
      offset[i] = Load(coder.slot_offset + 64 * i);
      other_symbol[i] = _mm512_xor_si512(Load(coder.slot_symbol + 64 * i), Set8(1));
    }
  }
  template <int kThresholds>
  void Find(Vec slots, Vec& exponents, Vec& frequencies, Vec& offsets, Vec& clear_bits) const {
    frequencies = Lookup256(frequency, slots);
    offsets = Lookup256(offset, slots);
    Vec others = Lookup256(other_symbol, slots);
    exponents = exponent.At(others);
    clear_bits = ShiftLeft16<7>(others);
  }
};

/// exponent -> rank, 255 outside the palette.
struct RankLookup {
  Vec quarters[4];
  explicit RankLookup(const HeadCoder& coder) {
    for (int i = 0; i < 4; ++i) quarters[i] = Load(coder.rank_of_exponent + 64 * i);
  }
  Vec Find(Vec exponents) const { return Lookup256(quarters, exponents); }
};

/// Bit i: byte i is 255 (or any value over 127).
static inline uint64_t TopBits(Vec v) { return _mm512_movepi8_mask(v); }
static inline Vec ReplaceMarked(Vec v, Vec replacement, uint64_t marked) {
  return _mm512_mask_mov_epi8(v, marked, replacement);
}

/// Lanes whose high byte is 0 take the next byte of the stream, in ascending order.
static inline void RenormaliseDecoder(Vec& low, Vec& high, const uint8_t*& stream) {
  __mmask64 empty = _mm512_testn_epi8_mask(high, high);
  high = _mm512_mask_mov_epi8(high, empty, low);
  low = _mm512_mask_expand_epi8(low, empty, Load(stream));
  stream += __builtin_popcountll(empty);
}

/// Lanes with high >= frequency give their low byte to the stream, which grows downwards.
static inline void RenormaliseEncoder(Vec& low, Vec& high, Vec frequencies, uint8_t*& stream) {
  __mmask64 full = _mm512_cmpge_epu8_mask(high, frequencies);
  int count = __builtin_popcountll(full);
  stream -= count;
  _mm512_mask_storeu_epi8(stream, _bzhi_u64(~0ull, static_cast<unsigned>(count)),
                          _mm512_maskz_compress_epi8(full, low));
  low = _mm512_mask_mov_epi8(low, full, high);
  high = _mm512_mask_mov_epi8(high, full, Zero());
}

/// quotient + 1 where remainder and corrected remainder differ.
static inline Vec CorrectQuotient(Vec quotient, Vec remainder, Vec corrected) {
  return _mm512_mask_sub_epi8(quotient, _mm512_cmpneq_epi8_mask(remainder, corrected), quotient, Set8(-1));
}

}  // namespace flyweight::avx512
