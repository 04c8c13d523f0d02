#include "transform/scaled_integers/scaled_value.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

constexpr ScaledForm kForms[] = {{ScaledWord::kBF16, ScaledRounding::kNearest},
                                 {ScaledWord::kBF16, ScaledRounding::kTruncate},
                                 {ScaledWord::kF16, ScaledRounding::kNearest},
                                 {ScaledWord::kF32, ScaledRounding::kNearest}};

double HalfValue(uint32_t word) {
  uint32_t exponent = word >> 10;
  return exponent == 0 ? std::ldexp(word, -24) : std::ldexp((word & 0x3FFU) + 1024, static_cast<int>(exponent) - 25);
}

// The nearest word by search among all, ties to even.
uint32_t NearestHalf(double value) {
  uint32_t low = 0, high = 0x7C00;
  while (high - low > 1) {
    uint32_t middle = (low + high) / 2;
    (HalfValue(middle) <= value ? low : high) = middle;
  }
  double below = value - HalfValue(low), above = HalfValue(high) - value;
  if (below == above) return low % 2 == 0 ? low : high;
  return below < above ? low : high;
}

TEST(ScaledMagnitude, RoundsHalvesToTheNearest) {
  test::Random random(1);
  for (int i = 0; i < 200000; ++i) {
    float product = std::bit_cast<float>(static_cast<uint32_t>(random.Between(0x32000000, 0x47900000)));
    if (i % 2 == 0)
      product = std::ldexp(static_cast<float>(random.Below(1 << 13)), static_cast<int>(random.Below(30)) - 27);
    ASSERT_EQ(ScaledMagnitude({ScaledWord::kF16}, 1, product), NearestHalf(product)) << product;
  }
}

TEST(ScaledMagnitude, RoundsAndCutsBF16) {
  const ScaledForm nearest = kForms[0], cut = kForms[1];
  for (auto [bits, rounded] : {std::pair<uint32_t, uint32_t>{0x3F808000, 0x3F80},
                               {0x3F818000, 0x3F82},
                               {0x3F808001, 0x3F81},
                               {0x3F807FFF, 0x3F80},
                               {0x7F7FFFFF, 0x7F80},
                               {0x00008001, 0x0001}}) {
    EXPECT_EQ(ScaledMagnitude(nearest, 1, std::bit_cast<float>(bits)), rounded) << std::hex << bits;
    EXPECT_EQ(ScaledMagnitude(cut, 1, std::bit_cast<float>(bits)), bits >> 16) << std::hex << bits;
  }
}

TEST(ExpandScaled, GivesTheMagnitudesWithTheirSigns) {
  test::Random random(2);
  std::vector<std::byte> codes = random.Bytes(1000);
  for (const ScaledForm& form : kForms) {
    const size_t width = ScaledWordBytes(form.word);
    for (float scale : {0.0F, 1e-41F, 1e-7F, 0.013F, 900.0F, 3e38F}) {
      for (const CodeRange& range : {CodeRange{128, 256}, CodeRange{0, 256}, CodeRange{100, 7}, CodeRange{9, 9}}) {
        std::vector<std::byte> words(codes.size() * width);
        ExpandScaled(form, range, scale, codes, words.data());
        for (size_t i = 0; i < codes.size(); ++i) {
          auto code = std::to_integer<int32_t>(codes[i]);
          int32_t k = code - range.zero;
          uint32_t expected = ScaledMagnitude(form, std::abs(k), scale) | (k < 0 ? SignBit(form.word) : 0);
          if (code == range.minus_zero) expected = SignBit(form.word);
          uint32_t word = 0;
          std::memcpy(&word, words.data() + i * width, width);
          ASSERT_EQ(word, expected) << scale << " " << code;
        }
      }
    }
  }
}

}  // namespace
}  // namespace flyweight
