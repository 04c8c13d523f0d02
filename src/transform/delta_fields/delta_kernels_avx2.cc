#include <immintrin.h>

#include "transform/delta_fields/delta_kernels.h"

namespace flyweight::avx2 {
namespace {
#include "transform/delta_fields/delta_group-inl.h"

struct Bytes64 {
  __m256i v[2];
};

template <typename Each>
inline Bytes64 Both(const Each& each) {
  return {{each(0), each(1)}};
}
inline __m256i Load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
inline void Store(uint8_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
inline __m256i Set8(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
inline __m256i Repeat16(const uint8_t* p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

inline Bytes64 Fill(int x) { return {{Set8(x), Set8(x)}}; }
inline Bytes64 LoadBytes(const uint8_t* p) { return {{Load(p), Load(p + 32)}}; }
inline void StoreBytes(uint8_t* p, const Bytes64& a) {
  Store(p, a.v[0]);
  Store(p + 32, a.v[1]);
}
inline Bytes64 And(const Bytes64& a, const Bytes64& b) {
  return Both([&](int i) { return _mm256_and_si256(a.v[i], b.v[i]); });
}
inline Bytes64 Or(const Bytes64& a, const Bytes64& b) {
  return Both([&](int i) { return _mm256_or_si256(a.v[i], b.v[i]); });
}
inline Bytes64 Add(const Bytes64& a, const Bytes64& b) {
  return Both([&](int i) { return _mm256_add_epi8(a.v[i], b.v[i]); });
}
inline Bytes64 SubtractOrZero(const Bytes64& a, const Bytes64& b) {
  return Both([&](int i) { return _mm256_subs_epu8(a.v[i], b.v[i]); });
}
inline Bytes64 Least(const Bytes64& a, const Bytes64& b) {
  return Both([&](int i) { return _mm256_min_epu8(a.v[i], b.v[i]); });
}
/// Bytes under 64 times 4; bytes divided by 4.
inline Bytes64 TimesFour(const Bytes64& a) {
  return Both([&](int i) { return _mm256_slli_epi16(a.v[i], 2); });
}
inline Bytes64 Quarter(const Bytes64& a) {
  return Both([&](int i) { return _mm256_and_si256(_mm256_srli_epi16(a.v[i], 2), Set8(63)); });
}
inline uint64_t TopBits(const Bytes64& a) {
  return static_cast<uint32_t>(_mm256_movemask_epi8(a.v[0])) |
         uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(a.v[1]))} << 32;
}
inline uint64_t AtLeast(const Bytes64& a, const Bytes64& b) {
  return TopBits(Both([&](int i) { return _mm256_cmpeq_epi8(_mm256_max_epu8(a.v[i], b.v[i]), a.v[i]); }));
}
inline uint64_t BitOf(const Bytes64& a, int bit) {
  return TopBits(Both([&](int i) { return _mm256_slli_epi16(a.v[i], 7 - bit); }));
}
/// 255 where the mask has a bit.
inline __m256i Spread(uint32_t mask) {
  const __m256i of_byte =
      _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i bit = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
  __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(mask)), of_byte);
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
}
inline Bytes64 SpreadBoth(uint64_t mask) {
  return {{Spread(static_cast<uint32_t>(mask)), Spread(static_cast<uint32_t>(mask >> 32))}};
}
inline Bytes64 Choose(uint64_t mask, const Bytes64& set, const Bytes64& clear) {
  Bytes64 spread = SpreadBoth(mask);
  return Both([&](int i) { return _mm256_blendv_epi8(clear.v[i], set.v[i], spread.v[i]); });
}
inline Bytes64 AddBit(const Bytes64& a, uint64_t mask, int bit) {
  Bytes64 spread = SpreadBoth(mask);
  return Both([&](int i) { return _mm256_or_si256(a.v[i], _mm256_and_si256(spread.v[i], Set8(1 << bit))); });
}
inline uint64_t Extract(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
inline uint64_t Deposit(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }
inline Bytes64 ClassBases(const Bytes64& symbols) {
  const __m256i bases = Repeat16(kClassBase);
  return Both([&](int i) { return _mm256_shuffle_epi8(bases, symbols.v[i]); });
}

struct TableOf64 {
  __m256i quarter[4];
  explicit TableOf64(const uint8_t* bytes) {
    for (int i = 0; i < 4; ++i) quarter[i] = Repeat16(bytes + 16 * i);
  }
  /// Indices are under 64.
  Bytes64 At(const Bytes64& index) const {
    return Both([&](int i) {
      const __m256i bit4 = _mm256_slli_epi16(index.v[i], 3), bit5 = _mm256_slli_epi16(index.v[i], 2);
      __m256i part[4];
      for (int q = 0; q < 4; ++q) part[q] = _mm256_shuffle_epi8(quarter[q], index.v[i]);
      return _mm256_blendv_epi8(_mm256_blendv_epi8(part[0], part[1], bit4), _mm256_blendv_epi8(part[2], part[3], bit4),
                                bit5);
    });
  }
};

template <typename Words>
inline Bytes64 ExponentsOf(const uint8_t* words) {
  if constexpr (sizeof(typename Words::Word) == 4) {
    return Both([&](int i) {
      auto part = [&](int j) {
        return _mm256_and_si256(_mm256_srli_epi32(Load(words + 128 * i + 32 * j), Words::kExponentShift),
                                _mm256_set1_epi32(Words::kExponentMask));
      };
      __m256i packed =
          _mm256_packus_epi16(_mm256_packus_epi32(part(0), part(1)), _mm256_packus_epi32(part(2), part(3)));
      return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    });
  } else {
    return Both([&](int i) {
      auto part = [&](int j) {
        return _mm256_and_si256(_mm256_srli_epi16(Load(words + 64 * i + 32 * j), Words::kExponentShift),
                                _mm256_set1_epi16(Words::kExponentMask));
      };
      return _mm256_permute4x64_epi64(_mm256_packus_epi16(part(0), part(1)), 0xD8);
    });
  }
}

inline Bytes64 ClassesOf(const Bytes64& sizes) {
  // By the size where it is under 16, by an eighth of it up to 127; indices from 128 on shuffle to 0.
  const __m256i by_size = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7));
  const __m256i by_eighth =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, 8, 9, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13));
  return Both([&](int i) {
    const __m256i size = sizes.v[i];
    __m256i eighth = _mm256_and_si256(_mm256_srli_epi16(size, 3), Set8(31));
    __m256i small = _mm256_shuffle_epi8(by_size, _mm256_adds_epu8(size, Set8(0x70)));
    __m256i medium = _mm256_shuffle_epi8(by_eighth, eighth);
    return _mm256_blendv_epi8(_mm256_or_si256(small, medium), Set8(14), size);
  });
}

inline __m256i Ordered16(__m256i words) {
  return _mm256_xor_si256(words, _mm256_srli_epi16(_mm256_srai_epi16(words, 15), 1));
}

inline __m256i PackInOrder(__m256i a, __m256i b) { return _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8); }

/// Sizes of differences of 16 bits (the low bytes), which are over 255, and which differences are negative.
inline void SizesOf16(const uint8_t* base, const uint8_t* words, Bytes64& low_bytes, uint64_t& beyond,
                      uint64_t& negative) {
  const __m256i byte = _mm256_set1_epi16(255), zero = _mm256_setzero_si256();
  Bytes64 within, signs;
  for (int i = 0; i < 2; ++i) {
    __m256i d[2], size[2];
    for (int j = 0; j < 2; ++j) {
      const int at = 64 * i + 32 * j;
      d[j] = _mm256_sub_epi16(Ordered16(Load(words + at)), Ordered16(Load(base + at)));
      size[j] = _mm256_abs_epi16(d[j]);
    }
    low_bytes.v[i] = PackInOrder(_mm256_and_si256(size[0], byte), _mm256_and_si256(size[1], byte));
    __m256i small[2];
    for (int j = 0; j < 2; ++j) small[j] = _mm256_cmpeq_epi16(_mm256_srli_epi16(size[j], 8), zero);
    within.v[i] = _mm256_permute4x64_epi64(_mm256_packs_epi16(small[0], small[1]), 0xD8);
    signs.v[i] = _mm256_permute4x64_epi64(_mm256_packs_epi16(d[0], d[1]), 0xD8);
  }
  beyond = ~TopBits(within);
  negative = TopBits(signs);
}

inline void Apply16(const uint8_t* base, const Bytes64& sizes, uint64_t negative, uint8_t* words) {
  const Bytes64 signs = SpreadBoth(negative);
  for (int i = 0; i < 4; ++i) {
    auto widened = [&](const Bytes64& bytes) {
      return _mm256_cvtepi8_epi16(i % 2 == 0 ? _mm256_castsi256_si128(bytes.v[i / 2])
                                             : _mm256_extracti128_si256(bytes.v[i / 2], 1));
    };
    const __m256i size = _mm256_and_si256(widened(sizes), _mm256_set1_epi16(255)), sign = widened(signs);
    const __m256i difference = _mm256_sub_epi16(_mm256_xor_si256(size, sign), sign);
    Store(words + 32 * i, Ordered16(_mm256_add_epi16(Ordered16(Load(base + 32 * i)), difference)));
  }
}

#include "transform/delta_fields/delta_kernels-inl.h"
}  // namespace
#include "transform/delta_fields/delta_entry-inl.h"
}  // namespace flyweight::avx2
