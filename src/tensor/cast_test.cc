#include "tensor/cast.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <vector>

namespace flyweight {
namespace {

uint16_t Cast(CastMethod method, uint32_t bits) {
  std::array<std::byte, 4> source;
  std::array<std::byte, 2> target;
  StoreLe(source.data(), bits);
  CastFromF32(method, source, target);
  return LoadLe<uint16_t>(target.data());
}

uint16_t CastFloat(CastMethod method, float value) { return Cast(method, std::bit_cast<uint32_t>(value)); }

/// The value of a finite half, exactly.
float HalfValue(uint32_t half) {
  uint32_t exponent = (half >> 10) & 31;
  float significand = static_cast<float>((half & 0x3FF) + (exponent != 0 ? 0x400 : 0));
  float scale = std::bit_cast<float>((127 - 25 + std::max<uint32_t>(exponent, 1)) << 23);  // 2^(exponent - 25)
  return (half & 0x8000) != 0 ? -significand * scale : significand * scale;
}

TEST(CastFromF32, GivesBackEveryBF16) {
  for (uint32_t word = 0; word < 0x10000; ++word) {
    EXPECT_EQ(Cast(CastMethod::kBF16Truncated, word << 16), word);
    bool is_signalling = (word & 0x7FFF) > 0x7F80 && (word & 0x40) == 0;
    EXPECT_EQ(Cast(CastMethod::kBF16, word << 16), is_signalling ? word | 0x40 : word);
  }
}

TEST(CastFromF32, RoundsToNearestBF16AndTiesToEven) {
  for (uint32_t word : {0u, 1u, 0x7Fu, 0x80u, 0x3F80u, 0x3F81u, 0x7F7Eu, 0x7F7Fu, 0xBF81u, 0xFF7Fu}) {
    EXPECT_EQ(Cast(CastMethod::kBF16, word << 16 | 0x7FFF), word);
    EXPECT_EQ(Cast(CastMethod::kBF16, word << 16 | 0x8000), word + (word & 1));
    EXPECT_EQ(Cast(CastMethod::kBF16, word << 16 | 0x8001), word + 1);
    EXPECT_EQ(Cast(CastMethod::kBF16Truncated, word << 16 | 0xFFFF), word);
  }
  EXPECT_EQ(Cast(CastMethod::kBF16, 0x7F800001), 0x7FC0) << "a NaN stays one";
  EXPECT_EQ(Cast(CastMethod::kBF16, 0xFFFFFFFF), 0xFFFF);
}

TEST(CastFromF32, GivesBackEveryFiniteF16) {
  for (uint32_t half = 0; half < 0x10000; ++half) {
    if ((half & 0x7C00) == 0x7C00) continue;
    EXPECT_EQ(CastFloat(CastMethod::kF16, HalfValue(half)), half);
  }
}

TEST(CastFromF32, RoundsToNearestF16AndTiesToEven) {
  for (uint32_t half = 0; half < 0x7BFF; ++half) {
    float low = HalfValue(half);
    float high = HalfValue(half + 1);
    float middle = low + (high - low) / 2;  // exact: F32 has 13 bits more
    uint32_t bits = std::bit_cast<uint32_t>(middle);
    EXPECT_EQ(Cast(CastMethod::kF16, bits), half + (half & 1)) << half;
    EXPECT_EQ(Cast(CastMethod::kF16, bits - 1), half) << half;
    EXPECT_EQ(Cast(CastMethod::kF16, bits + 1), half + 1) << half;
    EXPECT_EQ(Cast(CastMethod::kF16, bits | 0x80000000), 0x8000 | (half + (half & 1))) << half;
  }
}

TEST(CastFromF32, KeepsF16NanAndInfinity) {
  EXPECT_EQ(CastFloat(CastMethod::kF16, 65519.996F), 0x7BFF);
  EXPECT_EQ(CastFloat(CastMethod::kF16, 65520.0F), 0x7C00);
  EXPECT_EQ(Cast(CastMethod::kF16, 0x7F800000), 0x7C00);
  EXPECT_EQ(Cast(CastMethod::kF16, 0xFF800000), 0xFC00);
  EXPECT_EQ(Cast(CastMethod::kF16, 0x7F800001), 0x7E00);
  EXPECT_EQ(Cast(CastMethod::kF16, 0xFFC02000), 0xFE01);
  EXPECT_EQ(Cast(CastMethod::kF16, 1), 0);
  EXPECT_EQ(Cast(CastMethod::kF16, 0x80000001), 0x8000);
}

}  // namespace
}  // namespace flyweight
