#include "transform/scaled_integers/scaled_value.h"

namespace flyweight {
namespace {

inline uint32_t BitsOf(float value) { return __builtin_bit_cast(uint32_t, value); }
inline float FloatOf(uint32_t bits) { return __builtin_bit_cast(float, bits); }

// A choice by a mask: loops are only vectorised where they have no branches.
inline uint32_t Choose(bool condition, uint32_t then, uint32_t otherwise) {
  const uint32_t mask = 0U - static_cast<uint32_t>(condition);
  return (then & mask) | (otherwise & ~mask);
}

struct NearestBF16 {
  static uint16_t Round(uint32_t bits) { return static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16); }
};

struct TruncatedBF16 {
  static uint16_t Round(uint32_t bits) { return static_cast<uint16_t>(bits >> 16); }
};

struct NearestF16 {
  static uint16_t Round(uint32_t bits) {
    uint32_t magnitude = bits & 0x7FFFFFFFU;
    uint32_t half = (magnitude + 0xC8000FFFU + (magnitude >> 13 & 1U)) >> 13;
    // Under 2^-14 the addition of 0.5 rounds to multiples of 2^-24.
    uint32_t tiny = BitsOf(FloatOf(magnitude) + 0.5F) - 0x3F000000U;
    half = Choose(magnitude < 0x38800000U, tiny, half);
    half = Choose(magnitude >= 0x47800000U, 0x7C00U, half);
    return static_cast<uint16_t>(half | (bits >> 16 & 0x8000U));
  }
};

struct PlainF32 {
  static uint32_t Round(uint32_t bits) { return bits; }
};

template <typename Rounder>
void Expand(const CodeRange& range, float scale, const std::byte* __restrict codes, size_t count,
            std::byte* __restrict words) {
  using Word = decltype(Rounder::Round(0));
  const int32_t zero = range.zero, minus_zero = range.minus_zero;
  for (size_t i = 0; i < count; ++i) {
    const auto code = static_cast<int32_t>(codes[i]);
    const uint32_t bits = BitsOf(static_cast<float>(code - zero) * scale);
    const Word word = Rounder::Round(Choose(code == minus_zero, 0x80000000U, bits));
    __builtin_memcpy(words + i * sizeof(Word), &word, sizeof(Word));
  }
}

}  // namespace

uint32_t ScaledMagnitude(ScaledForm form, int32_t k, float scale) {
  uint32_t bits = BitsOf(static_cast<float>(k) * scale);
  switch (form.word) {
    case ScaledWord::kF32:
      return bits;
    case ScaledWord::kF16:
      return NearestF16::Round(bits);
    case ScaledWord::kBF16:
      break;
  }
  return form.rounding == ScaledRounding::kTruncate ? TruncatedBF16::Round(bits) : NearestBF16::Round(bits);
}

void ExpandScaled(ScaledForm form, const CodeRange& range, float scale, ByteSpan codes, std::byte* words) {
  switch (form.word) {
    case ScaledWord::kF32:
      return Expand<PlainF32>(range, scale, codes.data(), codes.size(), words);
    case ScaledWord::kF16:
      return Expand<NearestF16>(range, scale, codes.data(), codes.size(), words);
    case ScaledWord::kBF16:
      break;
  }
  if (form.rounding == ScaledRounding::kTruncate)
    return Expand<TruncatedBF16>(range, scale, codes.data(), codes.size(), words);
  return Expand<NearestBF16>(range, scale, codes.data(), codes.size(), words);
}

}  // namespace flyweight
