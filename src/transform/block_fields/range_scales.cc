#include "transform/block_fields/range_scales.h"

#include <bit>

namespace flyweight {
namespace {

uint16_t WordAt(const std::byte* low, const std::byte* high, size_t i) {
  return static_cast<uint16_t>(std::to_integer<unsigned>(low[i]) | std::to_integer<unsigned>(high[i]) << 8);
}

void PutWord(uint16_t word, std::byte* low, std::byte* high, size_t i) {
  low[i] = static_cast<std::byte>(word & 255);
  high[i] = static_cast<std::byte>(word >> 8);
}

float FromBf16(uint16_t word) { return std::bit_cast<float>(uint32_t{word} << 16); }

uint16_t NearestBf16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Infinity and NaN count as the numbers that would follow the largest.
float FromF16(uint16_t word) {
  uint32_t exponent = (word >> 10) & 31;
  auto significand = static_cast<float>(static_cast<int>((word & 1023U) + (exponent == 0 ? 0U : 1024U)));
  float power = std::bit_cast<float>(((exponent == 0 ? 1U : exponent) + 127 - 25) << 23);
  return (word & 0x8000) != 0 ? -(significand * power) : significand * power;
}

// Ties to even; what is too large becomes infinity. Precondition: no NaN.
uint16_t ToF16(float value) {
  auto bits = std::bit_cast<uint32_t>(value);
  uint32_t sign = (bits >> 16) & 0x8000;
  uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7C00);  // 2^16
  if (magnitude < 0x38800000) {                                              // 2^-14: the sum rounds at bit 0
    uint32_t sum = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5F);
    return static_cast<uint16_t>(sign | (sum - std::bit_cast<uint32_t>(0.5F)));
  }
  uint32_t rounded = magnitude - (112U << 23) + 0xFFF + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | rounded >> 13);
}

// Minima are finite, so that NaN can only come from a maximum; which NaN arithmetic then gives differs between CPUs.
uint16_t ScaleOf(uint16_t maximum, float minimum, float steps) {
  bool is_nan = (maximum & 0x7FFF) > 0x7F80;
  float range = FromBf16(maximum) - minimum;
  return is_nan ? static_cast<uint16_t>((maximum & 0x8000) | 0x7C00) : ToF16(range / steps);
}

float MinimumAt(const BlockLayout& layout, const ScaleBytes& bytes, size_t i) {
  return layout.range.has_minimum ? FromF16(WordAt(bytes.minimum_low, bytes.minimum_high, i)) : 0.0F;
}

// The BF16 word nearest to what the scale says, or the one above or below.
bool FindMaximum(uint16_t scale, float minimum, float steps, uint16_t& maximum) {
  uint16_t nearest = NearestBf16(FromF16(scale) * steps + minimum);
  for (int off : {0, 1, -1}) {
    maximum = static_cast<uint16_t>(nearest + off);
    if (ScaleOf(maximum, minimum, steps) == scale) return true;
  }
  return false;
}

}  // namespace

bool ScalesToMaxima(const BlockLayout& layout, size_t block_count, const ScaleBytes& bytes) {
  const float steps = layout.range.steps;
  for (size_t i = 0; i < block_count; ++i) {
    uint16_t maximum = 0;
    if (!FindMaximum(WordAt(bytes.low, bytes.high, i), MinimumAt(layout, bytes, i), steps, maximum)) {
      MaximaToScales(layout, i, bytes);
      return false;
    }
    PutWord(std::rotl(maximum, 1), bytes.low, bytes.high, i);
  }
  return true;
}

void MaximaToScales(const BlockLayout& layout, size_t block_count, const ScaleBytes& bytes) {
  const float steps = layout.range.steps;
  for (size_t i = 0; i < block_count; ++i) {
    uint16_t maximum = std::rotr(WordAt(bytes.low, bytes.high, i), 1);
    PutWord(ScaleOf(maximum, MinimumAt(layout, bytes, i), steps), bytes.low, bytes.high, i);
  }
}

}  // namespace flyweight
