#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "support/float_bits.h"
#include "support/random.h"
#include "transform/block_fields/block_layout.h"

// Tensors of quantised blocks whose fields are distributed as those of real weights.

namespace flyweight::test {

/// F32 in which every operation rounds on its own; a BF16 value where `rounded`.
inline float Weight(Random& random, double scale, bool rounded) {
  double value = scale * random.Gaussian();
  FloatFormat format = rounded ? kFormatBF16 : kFormatF32;
  return static_cast<float>(DecodeFloat(format, EncodeFloat(format, value)));
}

inline uint16_t HalfBits(float value) { return static_cast<uint16_t>(EncodeFloat(kFormatF16, value)); }

/// Blocks of Q8_0 of Gaussian weights, which were BF16 before where `rounded`; a row of 16 blocks has its own scale.
inline std::vector<std::byte> MakeQ80(size_t block_count, bool rounded, Random& random) {
  std::vector<std::byte> blocks(block_count * 34);
  double scale = 1;
  for (size_t b = 0; b < block_count; ++b) {
    if (b % 16 == 0) scale = std::exp2(-5 + random.Gaussian());
    float weights[32];
    float largest = 0;
    for (float& weight : weights) {
      weight = Weight(random, scale, rounded);
      largest = std::max(largest, std::fabs(weight));
    }
    float step = largest / 127.0F;
    std::byte* block = blocks.data() + b * 34;
    uint16_t half = HalfBits(step);
    std::memcpy(block, &half, sizeof half);
    for (size_t i = 0; i < 32; ++i) block[2 + i] = static_cast<std::byte>(std::lround(weights[i] / step));
  }
  return blocks;
}

/// The same where every third block has a weight that dwarfs the others.
inline std::vector<std::byte> MakeOutliersQ80(size_t block_count, Random& random) {
  std::vector<std::byte> blocks = MakeQ80(block_count, true, random);
  for (size_t b = 0; b < block_count; b += 3) {
    std::byte* block = blocks.data() + 34 * b;
    uint16_t half = 0;
    std::memcpy(&half, block, sizeof half);
    half = static_cast<uint16_t>(half + (4 << 10));
    std::memcpy(block, &half, sizeof half);
    for (size_t i = 3; i < 34; ++i) block[i] = static_cast<std::byte>(std::to_integer<int8_t>(block[i]) / 16);
  }
  return blocks;
}

/// The same of Q4_1: scale, minimum and 32 quants of 4 bits.
inline std::vector<std::byte> MakeQ41(size_t block_count, bool rounded, Random& random) {
  std::vector<std::byte> blocks(block_count * 20);
  double scale = 1;
  for (size_t b = 0; b < block_count; ++b) {
    if (b % 16 == 0) scale = std::exp2(-5 + random.Gaussian());
    float weights[32];
    for (float& weight : weights) weight = Weight(random, scale, rounded);
    auto [low, high] = std::minmax_element(std::begin(weights), std::end(weights));
    float minimum = *low;
    float range = *high - minimum;
    float step = range / 15.0F;
    std::byte* block = blocks.data() + b * 20;
    uint16_t halves[2] = {HalfBits(step), HalfBits(minimum)};
    std::memcpy(block, halves, sizeof halves);
    for (size_t i = 0; i < 32; ++i) {
      auto quant = static_cast<unsigned>(std::clamp(std::lround((weights[i] - minimum) / step), 0L, 15L));
      block[4 + i % 16] |= static_cast<std::byte>(quant << (i < 16 ? 0 : 4));
    }
  }
  return blocks;
}

/// Blocks of any type whose bytes crowd around the middle of both nibbles.
inline std::vector<std::byte> MakeSkewedBlocks(const BlockLayout& layout, size_t block_count, Random& random) {
  std::vector<std::byte> blocks(block_count * layout.block_bytes);
  const auto nibble = [&] { return 3 + random.Below(4) + random.Below(3); };
  for (std::byte& byte : blocks) byte = static_cast<std::byte>(nibble() | nibble() << 4);
  return blocks;
}

}  // namespace flyweight::test
