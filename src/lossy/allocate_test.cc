#include "lossy/allocate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/random.h"

namespace flyweight::test {
namespace {

using Tensors = std::vector<std::vector<Candidate>>;

std::pair<uint64_t, double> Totals(const Tensors& tensors, const std::vector<size_t>& chosen) {
  std::pair<uint64_t, double> totals;
  for (size_t t = 0; t < tensors.size(); ++t) {
    totals.first += tensors[t][chosen[t]].size_bytes;
    totals.second += tensors[t][chosen[t]].error;
  }
  return totals;
}

TEST(AllocateBits, TakesTheBestThatFits) {
  Tensors tensors = {{{100, 0}, {50, 1}, {25, 9}}, {{100, 0}, {50, 10}, {25, 90}}};
  EXPECT_EQ(AllocateBits(tensors, 200, 0).value(), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(AllocateBits(tensors, 199, 0).value(), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(AllocateBits(tensors, 100, 0).value(), (std::vector<size_t>{1, 1}));
  EXPECT_EQ(AllocateBits(tensors, 99, 0).value(), (std::vector<size_t>{2, 1}));
  EXPECT_EQ(AllocateBits(tensors, 57, 7).value(), (std::vector<size_t>{2, 2}));
  EXPECT_TRUE(AllocateBits({}, 0, 0).value().empty());
}

TEST(AllocateBits, NamesTheSmallestSizeThereIs) {
  auto chosen = AllocateBits({{{100, 0}, {25, 9}}, {{40, 1}}}, 71, 7);
  ASSERT_FALSE(chosen.ok());
  EXPECT_EQ(chosen.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(chosen.error().message.find("72 bytes"), std::string::npos);
}

TEST(AllocateBits, NeverChoosesWhatAnotherBeatsInBoth) {
  Tensors tensors = {{{50, 5}, {60, 6}, {50, 4}, {70, 4}, {80, 0}}};
  for (uint64_t budget = 50; budget <= 100; ++budget) {
    size_t chosen = AllocateBits(tensors, budget, 0).value()[0];
    EXPECT_EQ(chosen, budget < 80 ? 2u : 4u) << budget;
  }
}

TEST(AllocateBits, IsNearTheBestOfAllChoices) {
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    Tensors tensors(5);
    uint64_t most = 0;
    for (auto& candidates : tensors) {
      uint64_t elements = 50 + random.Below(500);
      for (uint64_t bits : {3, 4, 5, 6, 8}) {
        candidates.push_back({elements * bits, std::exp2(-2.0 * static_cast<double>(bits)) * (1 + random.Unit())});
      }
      most += elements * 8;
    }
    uint64_t budget = most * (40 + random.Below(60)) / 100;
    auto chosen = AllocateBits(tensors, budget, 0);
    ASSERT_TRUE(chosen.ok());
    auto [size, error] = Totals(tensors, chosen.value());
    EXPECT_LE(size, budget);
    double best = 1e9;
    for (size_t code = 0; code < 3125; ++code) {
      std::vector<size_t> other = {code % 5, code / 5 % 5, code / 25 % 5, code / 125 % 5, code / 625};
      auto [other_size, other_error] = Totals(tensors, other);
      if (other_size <= budget) best = std::min(best, other_error);
    }
    EXPECT_LE(error, 3 * best);
  }
}

}  // namespace
}  // namespace flyweight::test
