#include "transform/recentre/recentre.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "simd/isa.h"
#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

// Heads of finite values, the wide ones not so large that their sum overflows.
Bytes FiniteHeads(size_t head_bytes, size_t count, uint64_t seed) {
  test::Random random(seed);
  Bytes heads = random.Bytes(head_bytes * count);
  if (head_bytes == 1) return heads;
  for (size_t i = 0; i < count; ++i) {
    auto head = static_cast<uint16_t>((random.Bits() & 0x807F) | random.Between(90, 150) << 7);
    StoreLe(heads.data() + 2 * i, head);
  }
  return heads;
}

class Magnitudes : public testing::TestWithParam<Isa> {
 protected:
  ~Magnitudes() override { ForceIsa(std::nullopt); }
};

TEST_P(Magnitudes, OfARowAreTheSameBitsOnEveryIsa) {
  for (size_t head_bytes : {1, 2}) {
    for (size_t count : {1, 2, 31, 32, 33, 64, 100, 513, 4097}) {
      Bytes heads = FiniteHeads(head_bytes, count, count);
      ForceIsa(Isa::kScalar);
      float expected = MeanMagnitude(heads.data(), head_bytes, count);
      ForceIsa(GetParam());
      EXPECT_EQ(std::bit_cast<uint32_t>(MeanMagnitude(heads.data(), head_bytes, count)),
                std::bit_cast<uint32_t>(expected))
          << head_bytes << " bytes, " << count;
    }
  }
}

TEST_P(Magnitudes, OfColumnsAreTheSameBitsOnEveryIsa) {
  for (size_t head_bytes : {1, 2}) {
    for (size_t count : {1, 2, 31, 32, 33, 100, 513}) {
      std::vector<float> expected(count), sums(count);
      for (uint64_t row = 0; row < 5; ++row) {
        Bytes heads = FiniteHeads(head_bytes, count, row);
        ForceIsa(Isa::kScalar);
        AddMagnitudes(heads.data(), head_bytes, count, expected.data());
        ForceIsa(GetParam());
        AddMagnitudes(heads.data(), head_bytes, count, sums.data());
      }
      EXPECT_EQ(std::memcmp(sums.data(), expected.data(), count * sizeof(float)), 0) << count;
    }
  }
}

TEST_P(Magnitudes, OfRandomBitsGiveTheSameShifts) {
  test::Random random(3);
  for (size_t head_bytes : {1, 2}) {
    for (int trial = 0; trial < 200; ++trial) {
      size_t count = random.Between(1, 100);
      Bytes heads = random.Bytes(head_bytes * count);
      ForceIsa(Isa::kScalar);
      int8_t expected = ShiftOf(MeanMagnitude(heads.data(), head_bytes, count), 1.0F);
      ForceIsa(GetParam());
      EXPECT_EQ(ShiftOf(MeanMagnitude(heads.data(), head_bytes, count), 1.0F), expected);
    }
  }
}

TEST_P(Magnitudes, OfKnownHeadsAreKnown) {
  ForceIsa(GetParam());
  const uint16_t wide[] = {0x3F80, 0xBF80, 0x4040, 0xC040};  // 1, -1, 3, -3
  EXPECT_EQ(MeanMagnitude(std::as_bytes(std::span(wide)).data(), 2, 4), 2.0F);
  // 1 and 2 as F16, their high bytes: a unit of its own, so only their ratio counts.
  const uint8_t narrow[] = {0x3C, 0xC0};
  float one = MeanMagnitude(std::as_bytes(std::span(narrow)).data(), 1, 1);
  EXPECT_EQ(MeanMagnitude(std::as_bytes(std::span(narrow)).data() + 1, 1, 1), 2 * one);
  const uint8_t zero[] = {0x00, 0x80};
  EXPECT_EQ(MeanMagnitude(std::as_bytes(std::span(zero)).data(), 1, 2), 0.0F);
}

INSTANTIATE_TEST_SUITE_P(EachIsa, Magnitudes, testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                         [](const auto& each) { return std::string(IsaName(each.param)); });

TEST(PositiveMedian, LeavesOutWhatIsNotFiniteAndPositive) {
  std::vector<float> values = {kNan, 3, -kInfinity, 0, 1, kInfinity, -5, 2, -0.0F};
  EXPECT_EQ(PositiveMedian(values), 2.0F);
  std::vector<float> none = {kNan, 0, -1, kInfinity};
  EXPECT_EQ(PositiveMedian(none), 0.0F);
  std::vector<float> empty;
  EXPECT_EQ(PositiveMedian(empty), 0.0F);
  std::vector<float> denormal = {kDenormal};
  EXPECT_EQ(PositiveMedian(denormal), kDenormal);
}

TEST(ShiftOf, IsTheExponentOfExactPowers) {
  for (int k = -100; k <= 100; ++k) {
    EXPECT_EQ(ShiftOf(std::ldexp(1.0F, k), 1.0F), k);
    EXPECT_EQ(ShiftOf(std::ldexp(3.0F, k / 2), std::ldexp(3.0F, -(k - k / 2))), k);
  }
}

TEST(ShiftOf, RoundsToTheNearestPower) {
  for (float reference : {1.0F, 0.02F, 7e5F}) {
    for (double log = -5; log <= 5; log += 0.01) {
      if (std::fabs(log - std::floor(log) - 0.5) < 0.001) continue;
      auto mean = static_cast<float>(reference * std::exp2(log));
      EXPECT_EQ(ShiftOf(mean, reference), std::lround(log)) << log;
    }
  }
}

TEST(ShiftOf, IsClampedTo120) {
  EXPECT_EQ(ShiftOf(0x1p120F, 1.0F), 120);
  EXPECT_EQ(ShiftOf(0x1p126F, 1.0F), 120);
  EXPECT_EQ(ShiftOf(0x1p-120F, 1.0F), -120);
  EXPECT_EQ(ShiftOf(0x1p-126F, 1.0F), -120);
}

TEST(ShiftOf, IsZeroWhereNothingCanBeMeasured) {
  for (float odd : {0.0F, -0.0F, -1.0F, kNan, -kNan, kInfinity, -kInfinity}) {
    EXPECT_EQ(ShiftOf(odd, 1.0F), 0) << odd;
    EXPECT_EQ(ShiftOf(1.0F, odd), 0) << odd;
    EXPECT_EQ(ShiftOf(odd, odd), 0) << odd;
  }
  EXPECT_EQ(ShiftOf(kDenormal, 1.0F), 0) << "the ratio is denormal";
  EXPECT_EQ(ShiftOf(0x1p127F, 0x1p-100F), 0) << "the ratio overflows";
  EXPECT_EQ(ShiftOf(kDenormal, kDenormal), 0);
  EXPECT_EQ(ShiftOf(4 * kDenormal, kDenormal), 2);
}

struct FieldCase {
  bool by_rows;
  bool by_columns;
  uint64_t column_count;
  uint64_t first_word;
};

class ShiftFields : public testing::TestWithParam<FieldCase> {};

TEST_P(ShiftFields, ExpandIsAtEverywhere) {
  constexpr uint64_t kWordCount = 700;
  auto [by_rows, by_columns, column_count, first_word] = GetParam();
  test::Random random(column_count);
  std::vector<int8_t> rows(RowsTouched(column_count, first_word, kWordCount)), columns(column_count);
  random.Fill(std::as_writable_bytes(std::span(rows)));
  random.Fill(std::as_writable_bytes(std::span(columns)));
  ShiftField field{by_rows ? rows.data() : nullptr, by_columns ? columns.data() : nullptr, column_count, first_word};

  for (uint64_t word = 0; word < kWordCount; ++word) {
    uint64_t place = first_word + word;
    int row = by_rows ? rows[place / column_count - first_word / column_count] : 0;
    int column = by_columns ? columns[place % column_count] : 0;
    ASSERT_EQ(field.At(word), static_cast<uint8_t>(row + column)) << word;
  }
  for (uint64_t begin : {uint64_t{0}, uint64_t{1}, column_count % kWordCount, uint64_t{511}, kWordCount - 1}) {
    for (size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{63}, size_t{512}, size_t{700}}) {
      if (begin + count > kWordCount) continue;
      std::vector<uint8_t> expanded(count);
      field.Expand(begin, count, expanded.data());
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(expanded[i], field.At(begin + i)) << begin << " + " << i;
    }
  }
}

std::vector<FieldCase> FieldCases() {
  std::vector<FieldCase> cases;
  for (int modes = 1; modes < 4; ++modes) {
    for (uint64_t columns : {1, 2, 7, 64, 127, 512, 699, 700, 701, 5000}) {
      for (uint64_t first_word : {uint64_t{0}, uint64_t{262144}, uint64_t{1} << 40}) {
        cases.push_back({(modes & 1) != 0, (modes & 2) != 0, columns, first_word});
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, ShiftFields, testing::ValuesIn(FieldCases()), [](const auto& each) {
  const FieldCase& c = each.param;
  return std::string(c.by_rows ? "Rows" : "") + (c.by_columns ? "Columns" : "") + "Of" +
         std::to_string(c.column_count) + "From" + std::to_string(c.first_word);
});

TEST(ShiftField, WithoutColumnsHasNoShifts) {
  ShiftField none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.At(12345), 0);
}

TEST(RowsTouched, CountsRowsThatWordsShare) {
  EXPECT_EQ(RowsTouched(10, 0, 1), 1U);
  EXPECT_EQ(RowsTouched(10, 0, 10), 1U);
  EXPECT_EQ(RowsTouched(10, 0, 11), 2U);
  EXPECT_EQ(RowsTouched(10, 9, 2), 2U);
  EXPECT_EQ(RowsTouched(1, 5, 7), 7U);
  EXPECT_EQ(RowsTouched(1 << 20, uint64_t{1} << 40, 1), 1U);
}

}  // namespace
}  // namespace flyweight
