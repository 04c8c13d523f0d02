#pragma once

// The handful of byte-vector operations that the head kernels are written in, for NEON. A block is four vectors.
#include <arm_neon.h>

#include <cstring>

#include "entropy/head_rans/head_kernels.h"
#include "entropy/head_rans/lane_shuffles.h"

namespace flyweight::neon {

using Vec = uint8x16_t;
inline constexpr size_t kVecBytes = 16;

static inline uint16x8_t As16(Vec v) { return vreinterpretq_u16_u8(v); }
static inline Vec As8(uint16x8_t v) { return vreinterpretq_u8_u16(v); }

static inline Vec Load(const uint8_t* p) { return vld1q_u8(p); }
static inline void Store(uint8_t* p, Vec v) { vst1q_u8(p, v); }
static inline Vec Set8(int x) { return vdupq_n_u8(static_cast<uint8_t>(x)); }
static inline Vec Set16(int x) { return As8(vdupq_n_u16(static_cast<uint16_t>(x))); }
static inline Vec Zero() { return vdupq_n_u8(0); }
static inline Vec And(Vec a, Vec b) { return vandq_u8(a, b); }
/// ~a & b.
static inline Vec AndNot(Vec a, Vec b) { return vbicq_u8(b, a); }
static inline Vec Or(Vec a, Vec b) { return vorrq_u8(a, b); }
static inline Vec Add8(Vec a, Vec b) { return vaddq_u8(a, b); }
static inline Vec Sub8(Vec a, Vec b) { return vsubq_u8(a, b); }
static inline Vec Add16(Vec a, Vec b) { return As8(vaddq_u16(As16(a), As16(b))); }
static inline Vec Sub16(Vec a, Vec b) { return As8(vsubq_u16(As16(a), As16(b))); }
static inline Vec Mul16(Vec a, Vec b) { return As8(vmulq_u16(As16(a), As16(b))); }
static inline Vec MulHigh16(Vec a, Vec b) {
  uint32x4_t low = vmull_u16(vget_low_u16(As16(a)), vget_low_u16(As16(b)));
  uint32x4_t high = vmull_high_u16(As16(a), As16(b));
  return As8(vuzp2q_u16(vreinterpretq_u16_u32(low), vreinterpretq_u16_u32(high)));
}
static inline Vec Min16(Vec a, Vec b) { return As8(vminq_u16(As16(a), As16(b))); }
static inline Vec UnpackLow8(Vec a, Vec b) { return vzip1q_u8(a, b); }
static inline Vec UnpackHigh8(Vec a, Vec b) { return vzip2q_u8(a, b); }
/// Both hold nothing over 255.
static inline Vec Pack16(Vec a, Vec b) { return vuzp1q_u8(a, b); }
template <int kBits>
static inline Vec ShiftRight16(Vec a) {
  return As8(vshrq_n_u16(As16(a), kBits));
}
template <int kBits>
static inline Vec ShiftLeft16(Vec a) {
  return As8(vshlq_n_u16(As16(a), kBits));
}
static inline Vec RotateRight16(Vec a) { return As8(vsliq_n_u16(vshrq_n_u16(As16(a), 1), As16(a), 15)); }
static inline Vec RotateLeft16(Vec a) { return As8(vsliq_n_u16(vshrq_n_u16(As16(a), 15), As16(a), 1)); }
/// Even bytes of `even`, odd bytes of `odd`.
static inline Vec Interleave(Vec even, Vec odd) { return vbslq_u8(Set16(0x00FF), even, odd); }
/// Bit 7 of `top`, the other bits of `rest`.
static inline Vec TopBit(Vec top, Vec rest) { return vbslq_u8(Set8(0x80), top, rest); }
/// The complement of bit 7 of `top`, the other bits of `rest`.
static inline Vec NegatedTopBit(Vec top, Vec rest) { return vbslq_u8(Set8(0x80), vmvnq_u8(top), rest); }

/// Loads vector `quarter` of 64 bytes in element order as one in position order, and the reverse. `p` is the block's
/// first byte.
static inline Vec LoadElements(const uint8_t* p, size_t quarter) {
  return vcombine_u8(vld1_u8(p + 8 * quarter), vld1_u8(p + 32 + 8 * quarter));
}
static inline void StoreElements(uint8_t* p, size_t quarter, Vec v) {
  vst1_u8(p + 8 * quarter, vget_low_u8(v));
  vst1_u8(p + 32 + 8 * quarter, vget_high_u8(v));
}

/// A table of 32 bytes, for symbols 0 to 31.
struct SymbolTable {
  uint8x16x2_t table;
  explicit SymbolTable(const uint8_t* bytes) : table{{Load(bytes), Load(bytes + 16)}} {}
  Vec At(Vec symbols) const { return vqtbl2q_u8(table, symbols); }
};

/// slot -> (exponent, frequency, offset inside the symbol, complement of the top mantissa bit in bit 7 of `clear_bit`),
/// by the two-level lookup: tables of all 256 slots do not fit into the registers.
struct SlotLookup {
  Vec group_rank, rank_first_slot, frequency0, frequency1, exponent;
  Vec thresholds[16];
  int threshold_count;
  explicit SlotLookup(const HeadCoder& coder)
      : group_rank(Load(coder.group_rank)),
        rank_first_slot(Load(coder.rank_first_slot)),
        frequency0(Load(coder.rank_frequency0)),
        frequency1(Load(coder.rank_frequency1)),
        exponent(Load(coder.rank_exponent)),
        threshold_count(coder.threshold_count) {
    for (int k = 0; k < 16; ++k) thresholds[k] = Load(coder.thresholds[k]);
  }
  /// kThresholds: how many thresholds to test; 0: as many as the table has.
  template <int kThresholds>
  void Find(Vec slots, Vec& exponents, Vec& frequencies, Vec& offsets, Vec& clear_bits) const {
    Vec groups = vshrq_n_u8(slots, 4);
    int8x16_t signed_slots = vreinterpretq_s8_u8(veorq_u8(slots, Set8(0x80)));
    Vec ranks = vqtbl1q_u8(group_rank, groups);
    const int count = kThresholds != 0 ? kThresholds : threshold_count;
    for (int k = 0; k < count; ++k) {
      ranks = Sub8(ranks, vcgtq_s8(signed_slots, vreinterpretq_s8_u8(vqtbl1q_u8(thresholds[k], groups))));
    }
    Vec inside = Sub8(slots, vqtbl1q_u8(rank_first_slot, ranks));
    Vec first = vqtbl1q_u8(frequency0, ranks);
    exponents = vqtbl1q_u8(exponent, ranks);
    clear_bits = vcltq_u8(inside, first);
    offsets = Sub8(inside, AndNot(clear_bits, first));
    frequencies = vbslq_u8(clear_bits, first, vqtbl1q_u8(frequency1, ranks));
  }
};

/// exponent -> rank, 255 outside the palette: one lookup for each group of 16 exponents that has a rank at all.
struct RankLookup {
  Vec table[16], group[16];
  int count = 0;
  explicit RankLookup(const HeadCoder& coder) {
    for (int g = 0; g < 16; ++g) {
      Vec ranks_plus_one = Add8(Load(coder.rank_of_exponent + 16 * g), Set8(1));
      if (vmaxvq_u8(ranks_plus_one) == 0) continue;
      group[count] = Set8(16 * g);
      table[count++] = ranks_plus_one;
    }
  }
  Vec Find(Vec exponents) const {
    Vec ranks_plus_one = Zero();
    for (int i = 0; i < count; ++i) {
      // Under 16 for the exponents of the group only; all others look up 0.
      ranks_plus_one = Or(ranks_plus_one, vqtbl1q_u8(table[i], veorq_u8(exponents, group[i])));
    }
    return Sub8(ranks_plus_one, Set8(1));
  }
};

/// Bit i: bit 7 of byte i, for the bytes 0 to 7 in the low byte of the result and 8 to 15 in the next.
static inline uint64_t TopBits(Vec v) {
  constexpr uint8_t kPlaces[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  Vec bits = And(vcltzq_s8(vreinterpretq_s8_u8(v)), vld1q_u8(kPlaces));
  return vaddv_u8(vget_low_u8(bits)) | uint64_t{vaddv_u8(vget_high_u8(bits))} << 8;
}
/// `v` itself marks the lanes (bit 7).
static inline Vec ReplaceMarked(Vec v, Vec replacement, uint64_t) {
  return vbslq_u8(vcltzq_s8(vreinterpretq_s8_u8(v)), replacement, v);
}

/// `v` moved up by kLanes lanes, zeros below.
template <int kLanes>
static inline Vec MoveUp(Vec v) {
  return vextq_u8(Zero(), v, 16 - kLanes);
}

/// Lanes whose high byte is 0 take the next byte of the stream, in ascending order. Which byte of the 16 that follow is
/// a lane's is one less than the number of such lanes up to it, a prefix sum; other lanes get anything.
static inline void RenormaliseDecoder(Vec& low, Vec& high, const uint8_t*& stream) {
  Vec empty = vceqzq_u8(high);
  Vec count = Add8(empty, MoveUp<1>(empty));
  count = Add8(count, MoveUp<2>(count));
  count = Add8(count, MoveUp<4>(count));
  count = Add8(count, MoveUp<8>(count));
  Vec taken = vqtbl1q_u8(Load(stream), vmvnq_u8(count));
  stream -= vaddvq_s8(vreinterpretq_s8_u8(empty));
  high = Or(high, And(low, empty));
  low = vbslq_u8(empty, taken, low);
}

// Writes the compressed bytes of 8 lanes below `stream`; what lies under them is overwritten later.
static inline void Emit8(uint8x8_t bytes, uint64_t lanes8, uint8_t*& stream) {
  vst1_u8(stream - 8, bytes);
  stream -= __builtin_popcountll(lanes8);
}

/// Lanes with high >= frequency give their low byte to the stream, which grows downwards.
static inline void RenormaliseEncoder(Vec& low, Vec& high, Vec frequencies, uint8_t*& stream) {
  Vec full = vcgeq_u8(high, frequencies);
  uint64_t lanes = TopBits(full), lower = lanes & 0xFF, upper = lanes >> 8;
  Vec order = vcombine_u8(vld1_u8(kLaneShuffles.compress[0][lower]), vld1_u8(kLaneShuffles.compress[1][upper]));
  Vec packed = vqtbl1q_u8(low, order);
  Emit8(vget_high_u8(packed), upper, stream);
  Emit8(vget_low_u8(packed), lower, stream);
  low = vbslq_u8(full, high, low);
  high = vbicq_u8(high, full);
}

/// quotient + 1 where remainder and corrected remainder differ.
static inline Vec CorrectQuotient(Vec quotient, Vec remainder, Vec corrected) {
  return Add8(Add8(quotient, Set8(1)), vceqq_u8(remainder, corrected));
}

}  // namespace flyweight::neon
