#include "entropy/head_rans/head_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

// Adds `count` words with `exponent`, of which `ones` have the coded bit set.
void Add(HeadHistogram& histogram, size_t exponent, uint32_t count, uint32_t ones) {
  histogram[2 * exponent] += count - ones;
  histogram[2 * exponent + 1] += ones;
}

HeadHistogram Equal(size_t exponent_count, uint32_t count) {
  HeadHistogram histogram{};
  for (size_t e = 0; e < exponent_count; ++e) Add(histogram, 100 + e, count, count / 2);
  return histogram;
}

HeadHistogram Halving(size_t exponent_count) {
  HeadHistogram histogram{};
  for (size_t e = 0; e < exponent_count; ++e) Add(histogram, 120 - e, 1U << (20 - e), 1U << (18 - e));
  return histogram;
}

HeadHistogram RandomHistogram(uint64_t seed) {
  test::Random random(seed);
  HeadHistogram histogram{};
  size_t exponent_count = random.Between(1, 60);
  for (size_t i = 0; i < exponent_count; ++i) {
    auto count = static_cast<uint32_t>(uint64_t{1} << random.Below(22));
    Add(histogram, random.Below(256), count, static_cast<uint32_t>(random.Below(count + 1)));
  }
  return histogram;
}

// What every table promises, whatever it was made from.
void ExpectSound(const HeadTable& table, const HeadHistogram& histogram) {
  ASSERT_GE(table.count, 1);
  ASSERT_LE(table.count, kMaxPalette);
  ASSERT_LE(table.second_count, kMaxSecondPalette);
  int slots = 0;
  std::set<int> exponents;
  auto expect_new = [&](uint8_t exponent) {
    EXPECT_TRUE(exponents.insert(exponent).second) << "twice: " << int{exponent};
    EXPECT_NE(histogram[2 * exponent] + histogram[2 * exponent + 1], 0U) << "never occurs: " << int{exponent};
  };
  for (size_t i = 0; i < table.count; ++i) {
    expect_new(table.exponents[i]);
    EXPECT_GE(table.frequency0[i], 1);
    EXPECT_GE(table.frequency1[i], 1);
    slots += table.frequency0[i] + table.frequency1[i];
  }
  for (size_t i = 0; i < table.second_count; ++i) expect_new(table.second[i]);
  EXPECT_EQ(slots, kHeadSlots);
}

std::set<int> Palette(const HeadTable& table) {
  return {table.exponents.begin(), table.exponents.begin() + table.count};
}

std::vector<std::byte> Written(const HeadTable& table) {
  ByteWriter writer;
  WriteHeadTable(table, writer);
  return writer.Release();
}

TEST(BuildHeadTable, KeepsItsPromisesForAnyHistogram) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    HeadHistogram histogram = RandomHistogram(seed);
    HeadTable table = BuildHeadTable(histogram);
    ExpectSound(table, histogram);
    EXPECT_GE(EstimateHeadBits(table, histogram) * 1.0001, HeadEntropyBits(histogram));
  }
}

TEST(BuildHeadTable, GivesTheSameTableEachTime) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    HeadHistogram histogram = RandomHistogram(seed);
    EXPECT_EQ(Written(BuildHeadTable(histogram)), Written(BuildHeadTable(histogram))) << seed;
  }
}

TEST(BuildHeadTable, OfOneExponentGivesBothBitsASlot) {
  for (auto [ones, frequency1] : {std::pair{0U, 1}, {1U, 1}, {500U, 128}, {999U, 255}, {1000U, 255}}) {
    HeadHistogram histogram{};
    Add(histogram, 7, 1000, ones);
    HeadTable table = BuildHeadTable(histogram);
    ExpectSound(table, histogram);
    EXPECT_EQ(table.count, 1);
    EXPECT_EQ(table.second_count, 0);
    EXPECT_EQ(table.exponents[0], 7);
    EXPECT_EQ(table.frequency1[0], frequency1) << ones;
  }
}

TEST(BuildHeadTable, OfOneWordIsSound) {
  HeadHistogram histogram{};
  Add(histogram, 255, 1, 1);
  ExpectSound(BuildHeadTable(histogram), histogram);
}

TEST(BuildHeadTable, TakesSixteenExponentsWithoutPatches) {
  HeadHistogram histogram = Equal(16, 1000);
  HeadTable table = BuildHeadTable(histogram);
  ExpectSound(table, histogram);
  EXPECT_EQ(table.count, 16);
  EXPECT_EQ(table.second_count, 0);
  EXPECT_NEAR(EstimateHeadBits(table, histogram), 16 * 1000 * 5.0, 1);
}

TEST(BuildHeadTable, BreaksTiesByValueAndNamesTheNextExponentsForPatches) {
  HeadTable table = BuildHeadTable(Equal(40, 1000));
  EXPECT_EQ(table.count, 16);
  EXPECT_EQ(Palette(table),
            (std::set<int>{100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115}));
  ASSERT_EQ(table.second_count, kMaxSecondPalette);
  for (size_t i = 0; i < kMaxSecondPalette; ++i) EXPECT_EQ(table.second[i], 116 + i);
}

TEST(BuildHeadTable, LeavesRareExponentsToPatches) {
  HeadHistogram histogram{};
  Add(histogram, 120, 1U << 20, 1U << 19);
  Add(histogram, 50, 1, 0);
  HeadTable table = BuildHeadTable(histogram);
  EXPECT_EQ(Palette(table), std::set<int>{120});
  ASSERT_EQ(table.second_count, 1);
  EXPECT_EQ(table.second[0], 50);
}

TEST(BuildHeadTable, ComesCloseToTheEntropyOfWeights) {
  HeadHistogram histogram = Halving(14);
  double entropy = HeadEntropyBits(histogram);
  EXPECT_LT(EstimateHeadBits(BuildHeadTable(histogram), histogram), entropy * 1.01);
}

TEST(EstimateHeadBits, ChargesEighteenBitsForAHeadOutsideThePalette) {
  HeadHistogram inside{};
  Add(inside, 3, 256, 128);
  HeadTable table = BuildHeadTable(inside);
  EXPECT_NEAR(EstimateHeadBits(table, inside), 256, 1e-6);
  HeadHistogram outside{};
  Add(outside, 4, 10, 5);
  EXPECT_NEAR(EstimateHeadBits(table, outside), 180, 1e-6);
}

TEST(HeadEntropyBits, CountsExponentAndBit) {
  EXPECT_NEAR(HeadEntropyBits(Equal(4, 1000)), 4000 * 3.0, 1);
  HeadHistogram single{};
  single[9] = 77;
  EXPECT_EQ(HeadEntropyBits(single), 0);
}

TEST(HeadTable, RoundTripsThroughItsBytes) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    HeadTable table = BuildHeadTable(RandomHistogram(seed));
    std::vector<std::byte> bytes = Written(table);
    EXPECT_EQ(bytes.size(), HeadTableBytes(table));
    ReadCursor cursor(bytes);
    Result<HeadTable> read = ReadHeadTable(cursor);
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(cursor.remaining(), 0U);
    EXPECT_EQ(Written(read.value()), bytes);
  }
}

TEST(ReadHeadTable, RefusesBytesCutOffAnywhere) {
  std::vector<std::byte> bytes = Written(BuildHeadTable(Equal(20, 9)));
  for (size_t size = 0; size < bytes.size(); ++size) {
    ReadCursor cursor(ByteSpan(bytes).first(size));
    EXPECT_THAT(ReadHeadTable(cursor), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

struct BrokenRule {
  std::string name;
  std::function<void(HeadTable&)> breaks;
};

class ReadHeadTableRules : public testing::TestWithParam<BrokenRule> {};

// Two exponents of 64 + 64 slots each, one exponent for patches.
HeadTable SoundTable() {
  HeadTable table;
  table.count = 2;
  table.second_count = 1;
  table.exponents = {10, 20};
  table.second = {30};
  table.frequency0 = {64, 64};
  table.frequency1 = {64, 64};
  return table;
}

TEST(ReadHeadTable, AcceptsTheTableThatTheRulesAreBrokenIn) {
  std::vector<std::byte> bytes = Written(SoundTable());
  ReadCursor cursor(bytes);
  EXPECT_THAT(ReadHeadTable(cursor), IsOk());
}

TEST_P(ReadHeadTableRules, AreChecked) {
  HeadTable table = SoundTable();
  GetParam().breaks(table);
  std::vector<std::byte> bytes = Written(table);
  bytes.resize(bytes.size() + 64);  // so that only the rule can be what fails
  ReadCursor cursor(bytes);
  EXPECT_THAT(ReadHeadTable(cursor), FailsWith(ErrorCode::kCorrupt));
}

const BrokenRule kBrokenRules[] = {
    {"ExponentTwice", [](HeadTable& t) { t.exponents[1] = t.exponents[0]; }},
    {"FrequencyOfBit0IsZero", [](HeadTable& t) { t.frequency0[0] = 0, t.frequency1[0] = 128; }},
    {"FrequencyOfBit1IsZero", [](HeadTable& t) { t.frequency1[1] = 0, t.frequency0[1] = 128; }},
    {"OneSlotTooFew", [](HeadTable& t) { t.frequency0[0] = 63; }},
    {"OneSlotTooMany", [](HeadTable& t) { t.frequency1[1] = 65; }},
    {"TwiceTheSlots", [](HeadTable& t) { t.frequency0 = t.frequency1 = {128, 128}; }},
};

INSTANTIATE_TEST_SUITE_P(Each, ReadHeadTableRules, testing::ValuesIn(kBrokenRules),
                         [](const auto& each) { return each.param.name; });

TEST(ReadHeadTable, RefusesPaletteSizesOutOfRange) {
  for (auto [count, second_count] : {std::pair{0, 0}, {17, 0}, {255, 0}, {1, 16}, {1, 255}}) {
    ByteWriter writer;
    writer.Write(static_cast<uint8_t>(count));
    writer.Write(static_cast<uint8_t>(second_count));
    for (int i = 0; i < 1024; ++i) writer.Write(uint8_t{1});
    ReadCursor cursor(writer.bytes());
    EXPECT_THAT(ReadHeadTable(cursor), FailsWith(ErrorCode::kCorrupt)) << count << " " << second_count;
  }
}

TEST(ReadHeadTable, AcceptsTheLargestTable) {
  HeadTable table;
  table.count = kMaxPalette;
  table.second_count = kMaxSecondPalette;
  for (size_t i = 0; i < kMaxPalette; ++i) table.exponents[i] = static_cast<uint8_t>(255 - i);
  table.frequency0.fill(8);
  table.frequency1.fill(8);
  std::vector<std::byte> bytes = Written(table);
  ReadCursor cursor(bytes);
  Result<HeadTable> read = ReadHeadTable(cursor);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read.value().exponents, table.exponents);
}

}  // namespace
}  // namespace flyweight
