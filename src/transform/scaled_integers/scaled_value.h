#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace flyweight {

/// Floats that are integers times a scale, rounded to the word's format (docs/format.md section 3.10).

enum class ScaledWord : uint8_t { kBF16, kF16, kF32 };
enum class ScaledRounding : uint8_t {
  kNearest,   ///< of the F32 product, ties to even
  kTruncate,  ///< the product's high 16 bits; BF16 only
};

struct ScaledForm {
  ScaledWord word = ScaledWord::kBF16;
  ScaledRounding rounding = ScaledRounding::kNearest;
};

inline constexpr size_t ScaledWordBytes(ScaledWord word) { return word == ScaledWord::kF32 ? 4 : 2; }
inline constexpr uint32_t SignBit(ScaledWord word) { return word == ScaledWord::kF32 ? 0x80000000U : 0x8000U; }

/// How codes are read: code c is the integer c - zero, but code `minus_zero` is -0. No code is where it is 256.
struct CodeRange {
  int32_t zero = 0;
  int32_t minus_zero = 256;
};

/// The word of k * scale for k >= 0 and a finite scale >= 0. It grows with the scale, monotonously.
uint32_t ScaledMagnitude(ScaledForm form, int32_t k, float scale);

/// Writes the words of `codes`, all with one scale. Precondition: words has room for them.
void ExpandScaled(ScaledForm form, const CodeRange& range, float scale, ByteSpan codes, std::byte* words);

}  // namespace flyweight
