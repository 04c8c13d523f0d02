#include <arm_neon.h>

#include "transform/delta_fields/delta_kernels.h"

namespace flyweight::neon {
namespace {
#include "transform/delta_fields/delta_group-inl.h"

struct Bytes64 {
  uint8x16_t v[4];
};

template <typename Each>
inline Bytes64 All(const Each& each) {
  return {{each(0), each(1), each(2), each(3)}};
}

inline Bytes64 Fill(int x) {
  return All([&](int) { return vdupq_n_u8(static_cast<uint8_t>(x)); });
}
inline Bytes64 LoadBytes(const uint8_t* p) {
  return All([&](int i) { return vld1q_u8(p + 16 * i); });
}
inline void StoreBytes(uint8_t* p, const Bytes64& a) {
  for (int i = 0; i < 4; ++i) vst1q_u8(p + 16 * i, a.v[i]);
}
inline Bytes64 And(const Bytes64& a, const Bytes64& b) {
  return All([&](int i) { return vandq_u8(a.v[i], b.v[i]); });
}
inline Bytes64 Or(const Bytes64& a, const Bytes64& b) {
  return All([&](int i) { return vorrq_u8(a.v[i], b.v[i]); });
}
inline Bytes64 Add(const Bytes64& a, const Bytes64& b) {
  return All([&](int i) { return vaddq_u8(a.v[i], b.v[i]); });
}
inline Bytes64 SubtractOrZero(const Bytes64& a, const Bytes64& b) {
  return All([&](int i) { return vqsubq_u8(a.v[i], b.v[i]); });
}
inline Bytes64 Least(const Bytes64& a, const Bytes64& b) {
  return All([&](int i) { return vminq_u8(a.v[i], b.v[i]); });
}
/// Bytes under 64 times 4; bytes divided by 4.
inline Bytes64 TimesFour(const Bytes64& a) {
  return All([&](int i) { return vshlq_n_u8(a.v[i], 2); });
}
inline Bytes64 Quarter(const Bytes64& a) {
  return All([&](int i) { return vshrq_n_u8(a.v[i], 2); });
}

inline uint8x16_t BitOfByte() { return vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201)); }
/// A bit for each byte that is 255 and not 0.
inline uint64_t MaskOf(const Bytes64& a) {
  const uint8x16_t bit = BitOfByte();
  uint8x16_t low = vpaddq_u8(vandq_u8(a.v[0], bit), vandq_u8(a.v[1], bit));
  uint8x16_t high = vpaddq_u8(vandq_u8(a.v[2], bit), vandq_u8(a.v[3], bit));
  uint8x16_t sums = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}
/// 255 where the mask has a bit.
inline Bytes64 Spread(uint64_t mask) {
  const uint8x16_t bytes = vreinterpretq_u8_u64(vdupq_n_u64(mask)), bit = BitOfByte();
  const uint8x16_t second = vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(0), vcreate_u64(0x0101010101010101)));
  return All([&](int i) {
    return vtstq_u8(vqtbl1q_u8(bytes, vaddq_u8(second, vdupq_n_u8(static_cast<uint8_t>(2 * i)))), bit);
  });
}

inline uint64_t TopBits(const Bytes64& a) {
  return MaskOf(All([&](int i) { return vcltzq_s8(vreinterpretq_s8_u8(a.v[i])); }));
}
inline uint64_t AtLeast(const Bytes64& a, const Bytes64& b) {
  return MaskOf(All([&](int i) { return vcgeq_u8(a.v[i], b.v[i]); }));
}
inline uint64_t BitOf(const Bytes64& a, int bit) {
  return MaskOf(All([&](int i) { return vtstq_u8(a.v[i], vdupq_n_u8(static_cast<uint8_t>(1 << bit))); }));
}
inline Bytes64 Choose(uint64_t mask, const Bytes64& set, const Bytes64& clear) {
  Bytes64 spread = Spread(mask);
  return All([&](int i) { return vbslq_u8(spread.v[i], set.v[i], clear.v[i]); });
}
inline Bytes64 AddBit(const Bytes64& a, uint64_t mask, int bit) {
  Bytes64 spread = Spread(mask);
  const uint8x16_t value = vdupq_n_u8(static_cast<uint8_t>(1 << bit));
  return All([&](int i) { return vorrq_u8(a.v[i], vandq_u8(spread.v[i], value)); });
}
inline uint64_t Extract(uint64_t bits, uint64_t mask) {
  uint64_t extracted = 0;
  for (unsigned at = 0; mask != 0; mask &= mask - 1, ++at)
    extracted |= (bits >> static_cast<unsigned>(__builtin_ctzll(mask)) & 1) << at;
  return extracted;
}
inline uint64_t Deposit(uint64_t bits, uint64_t mask) {
  uint64_t deposited = 0;
  for (; mask != 0; mask &= mask - 1, bits >>= 1) deposited |= mask & (0 - mask) & (0 - (bits & 1));
  return deposited;
}
inline Bytes64 ClassBases(const Bytes64& symbols) {
  const uint8x16_t bases = vld1q_u8(kClassBase);
  return All([&](int i) { return vqtbl1q_u8(bases, symbols.v[i]); });
}

struct TableOf64 {
  uint8x16x4_t table;
  explicit TableOf64(const uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) table.val[i] = vld1q_u8(bytes + 16 * i);
  }
  Bytes64 At(const Bytes64& index) const {
    return All([&](int i) { return vqtbl4q_u8(table, index.v[i]); });
  }
};

inline uint16x8_t Load16(const uint8_t* p) { return vreinterpretq_u16_u8(vld1q_u8(p)); }
inline uint8x16_t LowBytes(uint16x8_t a, uint16x8_t b) {
  return vuzp1q_u8(vreinterpretq_u8_u16(a), vreinterpretq_u8_u16(b));
}

template <typename Words>
inline Bytes64 ExponentsOf(const uint8_t* words) {
  return All([&](int i) {
    if constexpr (sizeof(typename Words::Word) == 4) {
      auto part = [&](int j) {
        uint32x4_t four = vreinterpretq_u32_u8(vld1q_u8(words + 64 * i + 16 * j));
        return vreinterpretq_u16_u32(vshrq_n_u32(four, Words::kExponentShift));
      };
      return LowBytes(vuzp1q_u16(part(0), part(1)), vuzp1q_u16(part(2), part(3)));
    } else {
      auto part = [&](int j) { return vshrq_n_u16(Load16(words + 32 * i + 16 * j), Words::kExponentShift); };
      return vandq_u8(LowBytes(part(0), part(1)), vdupq_n_u8(Words::kExponentMask));
    }
  });
}

inline Bytes64 ClassesOf(const Bytes64& sizes) {
  // By the size where it is under 16, else by an eighth of it; indices out of a table's reach give 0.
  constexpr uint8_t kBySize[16] = {0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7};
  constexpr uint8_t kByEighth[32] = {0,  0,  8,  9,  10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13,
                                     14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14};
  const uint8x16_t by_size = vld1q_u8(kBySize);
  const uint8x16x2_t by_eighth = {{vld1q_u8(kByEighth), vld1q_u8(kByEighth + 16)}};
  return All([&](int i) {
    return vorrq_u8(vqtbl1q_u8(by_size, sizes.v[i]), vqtbl2q_u8(by_eighth, vshrq_n_u8(sizes.v[i], 3)));
  });
}

inline uint16x8_t Ordered16(uint16x8_t words) {
  uint16x8_t sign = vreinterpretq_u16_s16(vshrq_n_s16(vreinterpretq_s16_u16(words), 15));
  return veorq_u16(words, vshrq_n_u16(sign, 1));
}

/// Sizes of differences of 16 bits (the low bytes), which are over 255, and which differences are negative.
inline void SizesOf16(const uint8_t* base, const uint8_t* words, Bytes64& low_bytes, uint64_t& beyond,
                      uint64_t& negative) {
  Bytes64 over, signs;
  for (int i = 0; i < 4; ++i) {
    uint16x8_t size[2], sign[2], large[2];
    for (int j = 0; j < 2; ++j) {
      const int at = 32 * i + 16 * j;
      int16x8_t d = vreinterpretq_s16_u16(vsubq_u16(Ordered16(Load16(words + at)), Ordered16(Load16(base + at))));
      size[j] = vreinterpretq_u16_s16(vabsq_s16(d));
      sign[j] = vcltzq_s16(d);
      large[j] = vcgtq_u16(size[j], vdupq_n_u16(255));
    }
    low_bytes.v[i] = LowBytes(size[0], size[1]);
    over.v[i] = LowBytes(large[0], large[1]);
    signs.v[i] = LowBytes(sign[0], sign[1]);
  }
  beyond = MaskOf(over);
  negative = MaskOf(signs);
}

inline void Apply16(const uint8_t* base, const Bytes64& sizes, uint64_t negative, uint8_t* words) {
  const Bytes64 signs = Spread(negative);
  for (int i = 0; i < 8; ++i) {
    auto half = [&](const Bytes64& a) { return i % 2 == 0 ? vget_low_u8(a.v[i / 2]) : vget_high_u8(a.v[i / 2]); };
    uint16x8_t size = vmovl_u8(half(sizes));
    uint16x8_t sign = vreinterpretq_u16_s16(vmovl_s8(vreinterpret_s8_u8(half(signs))));
    uint16x8_t difference = vsubq_u16(veorq_u16(size, sign), sign);
    uint16x8_t joined = Ordered16(vaddq_u16(Ordered16(Load16(base + 16 * i)), difference));
    vst1q_u8(words + 16 * i, vreinterpretq_u8_u16(joined));
  }
}

#include "transform/delta_fields/delta_kernels-inl.h"
}  // namespace
#include "transform/delta_fields/delta_entry-inl.h"
}  // namespace flyweight::neon
