#include "transform/block_fields/unit_classes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

std::vector<int32_t> Rate(const Bytes& low, const Bytes* high) {
  std::vector<int32_t> ratings(low.size());
  RateUnits(low.data(), high == nullptr ? nullptr : high->data(), low.size(), ratings.data());
  return ratings;
}

TEST(RateUnits, IsTheDistanceFromTheSumOfTheNeighbours) {
  test::Random random(1);
  for (size_t count : {1, 2, 8, 9, 17, 100}) {
    Bytes low = random.Bytes(count), high = random.Bytes(count);
    for (const Bytes* top : {static_cast<const Bytes*>(nullptr), static_cast<const Bytes*>(&high)}) {
      std::vector<int32_t> ratings = Rate(low, top);
      const auto scale = [&](long i) {
        auto at = static_cast<size_t>(std::clamp(i, 0L, static_cast<long>(count) - 1));
        int top_bits = top == nullptr ? 0 : std::to_integer<int>((*top)[at]) & 127;
        return std::to_integer<int>(low[at]) + 256 * top_bits;
      };
      for (long i = 0; i < static_cast<long>(count); ++i) {
        int expected = 17 * scale(i);
        for (long j = i - 8; j <= i + 8; ++j) expected -= scale(j);
        EXPECT_EQ(ratings[static_cast<size_t>(i)], expected) << count << " " << i;
      }
    }
  }
}

TEST(ClassOf, CountsTheThresholdsThatAreReached) {
  const std::vector<int32_t> thresholds = {-5, 0, 0};
  EXPECT_EQ(ClassOf(-6, thresholds), 0U);
  EXPECT_EQ(ClassOf(-5, thresholds), 1U);
  EXPECT_EQ(ClassOf(-1, thresholds), 1U);
  EXPECT_EQ(ClassOf(0, thresholds), 3U);
}

TEST(SortUnits, KeepsTheOrderInsideAClassAndIsUndone) {
  const std::vector<int32_t> ratings = {5, -5, 0, 7, -9, 0};
  const std::vector<int32_t> thresholds = {0, 5};
  Bytes units(6 * 3);
  for (size_t i = 0; i < units.size(); ++i) units[i] = static_cast<std::byte>(i);
  Bytes sorted(units.size());
  std::byte* targets[] = {sorted.data(), sorted.data() + 6, sorted.data() + 12};
  SortUnits(units.data(), 3, ratings, thresholds, targets);
  EXPECT_EQ(targets[2], sorted.data() + 18);
  const size_t order[] = {1, 4, 2, 5, 0, 3};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(sorted[3 * i], static_cast<std::byte>(3 * order[i]));

  Bytes back(units.size());
  const std::byte* sources[] = {sorted.data(), sorted.data() + 6, sorted.data() + 12};
  UnsortUnits(sources, 3, ratings, thresholds, back.data());
  EXPECT_TRUE(back == units);
}

}  // namespace
}  // namespace flyweight
