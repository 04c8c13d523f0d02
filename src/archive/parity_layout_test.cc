#include "archive/parity_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "erasure/reed_solomon.h"

namespace flyweight {
namespace {

struct Sizes {
  uint64_t first_bytes;
  uint64_t second_bytes;
};

const Sizes kSizes[] = {{100, 168},
                        {512, 200},
                        {5000, 300},
                        {100'000, 1000},
                        {300'001, 4096},
                        {50'000'000, 9000},
                        {90'000'000, 70'000},
                        {1'070'000'000, 1000},
                        {5'000'000'000, 5000},
                        {uint64_t{1} << 40, 1 << 20}};

ParityLayout Plan(const Sizes& sizes, uint32_t permille) {
  auto layout = PlanParity(sizes.first_bytes, sizes.second_bytes, permille);
  EXPECT_TRUE(layout.ok()) << layout.error().message;
  return layout.ok() ? layout.value() : ParityLayout{};
}

TEST(PlanParity, CellsFillTheAreaExactlyOnce) {
  for (const Sizes& sizes : kSizes) {
    if (sizes.first_bytes > uint64_t{1} << 31) continue;
    for (uint32_t permille : {1, 50, 333, 1000}) {
      ParityLayout layout = Plan(sizes, permille);
      std::set<uint64_t> offsets;
      for (uint64_t i = 0; i < layout.info_cells(); ++i) offsets.insert(layout.InfoOffset(i));
      for (uint64_t i = 0; i < layout.parity_cells; ++i) offsets.insert(layout.ParityOffset(i));
      ASSERT_EQ(offsets.size(), layout.info_cells() + layout.parity_cells);
      EXPECT_EQ(*offsets.begin(), layout.area_offset);
      EXPECT_EQ(*offsets.rbegin() + layout.block_bytes, layout.second_offset);
      for (uint64_t offset : offsets) ASSERT_EQ(offset % layout.block_bytes, 0U);
      EXPECT_EQ(layout.InfoOffset(layout.info_cells() - 1) + layout.block_bytes, layout.second_offset);
    }
  }
}

TEST(PlanParity, BlocksCoverBothParts) {
  for (const Sizes& sizes : kSizes) {
    if (sizes.first_bytes > uint64_t{1} << 31) continue;
    ParityLayout layout = Plan(sizes, 50);
    uint64_t end = 0;
    for (uint64_t b = 0; b < layout.block_count; ++b) {
      if (end == sizes.first_bytes) end = layout.second_offset;
      ASSERT_EQ(layout.BlockOffset(b), end);
      ASSERT_EQ(layout.BlockOffset(b) % layout.block_bytes, 0U);
      ASSERT_GT(layout.BlockBytes(b), 0U);
      end += layout.BlockBytes(b);
    }
    EXPECT_EQ(end, layout.archive_bytes);
  }
}

TEST(PlanParity, EveryRowHasOneBlockOfEachCodeword) {
  ParityLayout layout = Plan({5'000'000'000, 5000}, 50);
  ASSERT_GT(layout.codeword_count, 3U);
  for (uint64_t row = 0; row < layout.data_rows; ++row) {
    std::set<uint64_t> numbers;
    for (uint64_t c = 0; c < layout.codeword_count; ++c) {
      uint64_t number = layout.NumberAt(row, c);
      ASSERT_EQ(number / layout.codeword_count, row);
      ASSERT_EQ(layout.CodewordOf(number), c);
      numbers.insert(number);
    }
    ASSERT_EQ(numbers.size(), layout.codeword_count);
  }
}

TEST(PlanParity, DamageAtRegularDistancesIsShared) {
  ParityLayout layout = Plan({5'000'000'000, 5000}, 50);
  for (uint64_t distance = 21; distance < 300; ++distance) {
    std::vector<uint64_t> lost(layout.codeword_count);
    for (uint64_t b = 0; b < layout.block_count; b += distance) ++lost[layout.CodewordOf(b)];
    for (uint64_t count : lost) ASSERT_LE(count, layout.parity_rows) << distance;
  }
}

TEST(PlanParity, HoldsWhatItPromises) {
  for (const Sizes& sizes : kSizes) {
    for (uint64_t permille : {1, 10, 50, 100, 250}) {
      ParityLayout layout = Plan(sizes, static_cast<uint32_t>(permille));
      EXPECT_TRUE(ReedSolomon::Exists(layout.data_rows, layout.parity_rows));
      EXPECT_TRUE(ReedSolomon::Exists(layout.info_data_cells, layout.info_parity_cells));
      EXPECT_GE(layout.info_parity_cells, layout.info_data_cells) << "the first info cells together may go";
      uint64_t promised = layout.cell_count() * permille / 1000;
      EXPECT_GE(layout.parity_cells, std::min(promised, layout.block_count)) << "there is never more parity than data";
    }
  }
}

TEST(PlanParity, CostsLittleMoreThanAskedFor) {
  ParityLayout layout = Plan({60'000'000, 10'000}, 50);
  EXPECT_EQ(layout.codeword_count, 1U);
  EXPECT_EQ(layout.block_bytes, 4096U);
  EXPECT_LT(static_cast<double>(layout.area_bytes()), 0.059 * 60'010'000);
  layout = Plan({60'000'000'000, 10'000}, 50);
  EXPECT_EQ(layout.block_bytes, 65536U);
  EXPECT_LT(static_cast<double>(layout.area_bytes()), 0.066 * 60e9);
  EXPECT_LT(static_cast<double>(Plan({60'000'000, 10'000}, 1000).area_bytes()), 1.02 * 60'010'000);
}

TEST(PlanParity, CanBeInferredFromTheSizeOfTheArea) {
  for (const Sizes& sizes : kSizes) {
    for (uint32_t permille : {1, 7, 50, 100, 499, 1000}) {
      ParityLayout layout = Plan(sizes, permille);
      auto inferred = InferParity(sizes.first_bytes, sizes.second_bytes, layout.area_bytes());
      ASSERT_TRUE(inferred.ok());
      EXPECT_EQ(inferred.value(), layout);
    }
    EXPECT_FALSE(InferParity(sizes.first_bytes, sizes.second_bytes, 1).ok());
  }
}

TEST(PlanParity, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(PlanParity(1000, 200, 0).ok());
  EXPECT_FALSE(PlanParity(1000, 200, 1001).ok());
  EXPECT_FALSE(PlanParity(~uint64_t{0}, 200, 50).ok());
  EXPECT_FALSE(PlanParity(200, ~uint64_t{0}, 50).ok());
}

TEST(CompleteLayout, RefusesImpossibleFields) {
  const ParityLayout good = Plan({5000, 300}, 50);
  ASSERT_TRUE(CompleteLayout(good).ok());
  EXPECT_EQ(CompleteLayout(good).value(), good);
  auto refused = [&](uint64_t ParityLayout::* field, uint64_t value) {
    ParityLayout bad = good;
    bad.*field = value;
    return !CompleteLayout(bad).ok();
  };
  for (uint64_t huge : {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 61}) {
    EXPECT_TRUE(refused(&ParityLayout::first_bytes, huge));
    EXPECT_TRUE(refused(&ParityLayout::second_bytes, huge));
    EXPECT_TRUE(refused(&ParityLayout::block_bytes, huge));
    EXPECT_TRUE(refused(&ParityLayout::codeword_count, huge));
    EXPECT_TRUE(refused(&ParityLayout::parity_rows, huge));
    EXPECT_TRUE(refused(&ParityLayout::info_parity_cells, huge));
  }
  EXPECT_TRUE(refused(&ParityLayout::first_bytes, 0));
  EXPECT_TRUE(refused(&ParityLayout::second_bytes, 0));
  EXPECT_TRUE(refused(&ParityLayout::codeword_count, 0));
  EXPECT_TRUE(refused(&ParityLayout::codeword_count, good.block_count + 1));
  EXPECT_TRUE(refused(&ParityLayout::parity_rows, 0));
  EXPECT_TRUE(refused(&ParityLayout::info_parity_cells, 0));
  for (uint64_t block_bytes : {0, 1, 128, 256, 511, 513, 3 << 10, 2 << 20}) {
    EXPECT_TRUE(refused(&ParityLayout::block_bytes, block_bytes)) << block_bytes;
  }
}

}  // namespace
}  // namespace flyweight
