#include "transform/scaled_integers/scale_fit.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

constexpr ScaledForm kForms[] = {{ScaledWord::kBF16, ScaledRounding::kNearest},
                                 {ScaledWord::kBF16, ScaledRounding::kTruncate},
                                 {ScaledWord::kF16, ScaledRounding::kNearest},
                                 {ScaledWord::kF32, ScaledRounding::kNearest}};

std::vector<CountedMagnitude> Count(const std::vector<uint32_t>& words) {
  std::map<uint32_t, uint32_t> counts;
  for (uint32_t word : words) ++counts[word];
  std::vector<CountedMagnitude> magnitudes;
  for (auto [word, count] : counts) magnitudes.push_back({word, count});
  return magnitudes;
}

// Integers that crowd near 0, as those of quantised weights do, but are at least 1.
std::vector<uint32_t> Quantised(ScaledForm form, float scale, int32_t largest, size_t count, test::Random& random) {
  std::vector<uint32_t> words(count);
  for (uint32_t& word : words) {
    auto k = static_cast<int32_t>(1 + random.Below(static_cast<uint64_t>(largest)) * random.Below(1000) / 1000);
    word = ScaledMagnitude(form, k, scale);
  }
  words.push_back(ScaledMagnitude(form, 1, scale));
  return words;
}

class FitScaleOf : public testing::TestWithParam<ScaledForm> {};

TEST_P(FitScaleOf, FindsARangeThatHoldsTheScale) {
  test::Random random(3);
  for (int32_t largest : {1, 7, 8, 31, 100, 127}) {
    for (int round = 0; round < 100; ++round) {
      float scale = std::bit_cast<float>(static_cast<uint32_t>(random.Between(0x3A800000, 0x3D000000)));
      std::vector<uint32_t> words = Quantised(GetParam(), scale, largest, 128, random);
      std::optional<ScaleRange> range = FitScale(GetParam(), Count(words), 0);
      ASSERT_TRUE(range) << largest << " " << scale;
      EXPECT_LE(range->low_bits, std::bit_cast<uint32_t>(scale));
      EXPECT_GE(range->high_bits, std::bit_cast<uint32_t>(scale));
    }
  }
}

TEST_P(FitScaleOf, GivesScalesThatAllWork) {
  test::Random random(4);
  for (int round = 0; round < 300; ++round) {
    float scale = std::bit_cast<float>(static_cast<uint32_t>(random.Between(0x3A800000, 0x3D000000)));
    std::vector<uint32_t> words = Quantised(GetParam(), scale, 50, 40, random);
    std::optional<ScaleRange> range = FitScale(GetParam(), Count(words), 0);
    ASSERT_TRUE(range);
    for (float each :
         {std::bit_cast<float>(range->low_bits), std::bit_cast<float>(range->high_bits), SimplestScale(*range)}) {
      for (uint32_t word : words) {
        std::optional<int32_t> k = IntegerOf(GetParam(), word, each);
        ASSERT_TRUE(k);
        EXPECT_EQ(ScaledMagnitude(GetParam(), *k, each), word);
      }
    }
  }
}

// An outlier may happen to be a fraction of the scale; that is rare.
TEST_P(FitScaleOf, PassesOverOutliers) {
  test::Random random(5);
  int found = 0;
  for (int round = 0; round < 100; ++round) {
    float scale = std::bit_cast<float>(static_cast<uint32_t>(random.Between(0x3C000000, 0x3D000000)));
    std::vector<uint32_t> words = Quantised(GetParam(), scale, 7, 128, random);
    words.push_back(ScaledMagnitude(GetParam(), 1, scale * static_cast<float>(random.Unit())));
    words.push_back(ScaledMagnitude(GetParam(), 1, scale * 1000.3F));
    words.push_back(SignBit(GetParam().word) - 1);  // a NaN
    EXPECT_FALSE(FitScale(GetParam(), Count(words), 1).has_value());
    std::optional<ScaleRange> range = FitScale(GetParam(), Count(words), 4);
    ASSERT_TRUE(range);
    found += range->low_bits <= std::bit_cast<uint32_t>(scale) && range->high_bits >= std::bit_cast<uint32_t>(scale);
  }
  EXPECT_GE(found, 95);
}

// Few of these fit at all, and such a fit is known for what it is.
TEST_P(FitScaleOf, TellsOtherFloatsFromScaledIntegers) {
  test::Random random(6);
  int taken = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint32_t> words(24);
    for (uint32_t& word : words) {
      double weight = (random.Unit() + random.Unit() + random.Unit() - 1.5) * 0.04;
      word = ScaledMagnitude(GetParam(), 1,
                             std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(weight)) & ~0x80000000U));
      if (word == 0) word = 1;
    }
    std::optional<ScaleRange> range = FitScale(GetParam(), Count(words), 0);
    taken += range && range->chance < 0x1p-22;
  }
  EXPECT_LE(taken, 1);
}

INSTANTIATE_TEST_SUITE_P(Forms, FitScaleOf, testing::ValuesIn(kForms));

TEST(FitScale, TakesTheLargestScale) {
  std::vector<uint32_t> words;
  for (int32_t k : {2, 4, 8, 12}) words.push_back(ScaledMagnitude({ScaledWord::kF32}, k, 0.0123F));
  std::optional<ScaleRange> range = FitScale({ScaledWord::kF32}, Count(words), 0);
  ASSERT_TRUE(range);
  EXPECT_LE(range->low_bits, std::bit_cast<uint32_t>(0.0246F));
  EXPECT_GE(range->high_bits, std::bit_cast<uint32_t>(0.0246F));
}

TEST(FitScale, FindsNothingWhereThereIsNothing) { EXPECT_FALSE(FitScale({ScaledWord::kF32}, {}, 0).has_value()); }

TEST(SimplestScale, HasTheFewestMantissaBitsOfItsRange) {
  struct Case {
    uint32_t low, high, simplest;
  };
  for (const Case& each : {Case{0x3F800001, 0x3F800001, 0x3F800001},
                           {0x3F800000, 0x3F800003, 0x3F800000},
                           {0x3F800001, 0x3F800007, 0x3F800004},
                           {0x3F7FFFFF, 0x3F800001, 0x3F800000},
                           {0x3F812345, 0x3F834567, 0x3F820000}}) {
    EXPECT_EQ(std::bit_cast<uint32_t>(SimplestScale({each.low, each.high, 1})), each.simplest) << std::hex << each.low;
  }
}

TEST(IntegerOf, KnowsZeroAndRefusesWhatIsNoMultiple) {
  const ScaledForm form{ScaledWord::kF32};
  EXPECT_EQ(IntegerOf(form, 0, 0.5F), 0);
  EXPECT_EQ(IntegerOf(form, std::bit_cast<uint32_t>(3.5F), 0.5F), 7);
  EXPECT_EQ(IntegerOf(form, std::bit_cast<uint32_t>(3.25F), 0.5F), std::nullopt);
  EXPECT_EQ(IntegerOf(form, std::bit_cast<uint32_t>(128.0F), 0.5F), std::nullopt);
  EXPECT_EQ(IntegerOf(form, 0x7F800000, 0.5F), std::nullopt);
  EXPECT_EQ(IntegerOf(form, 0x7FC00000, 0.5F), std::nullopt);
}

}  // namespace
}  // namespace flyweight
