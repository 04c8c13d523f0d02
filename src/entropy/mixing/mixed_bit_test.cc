#include "entropy/mixing/mixed_bit.h"

#include <gtest/gtest.h>

#include "support/random.h"

namespace flyweight {
namespace {

using test::Random;

// Takes any decision and remembers the probability that it was given.
struct Recorder {
  bool Code(bool bit, uint32_t probability) {
    one = probability;
    return bit;
  }
  uint32_t one = 0;
};

TEST(MixingTables, SquashRisesAndIsHalfInTheMiddle) {
  for (size_t i = 1; i < kSquash.size(); ++i) EXPECT_GE(kSquash[i], kSquash[i - 1]) << i;
  EXPECT_EQ(kSquash[2048], 32768);
  EXPECT_EQ(kSquash.front(), 32);
  EXPECT_EQ(kSquash.back(), 65504);
}

TEST(MixingTables, StretchIsTheInverseOfSquash) {
  for (int p = 8; p < 4088; ++p) {
    int back = kSquash[static_cast<size_t>(kStretch[static_cast<size_t>(p)] + 2048)] / 16;
    // A step of 1/256 in the middle is a step of 4 in 4096.
    EXPECT_NEAR(back, p, 4) << p;
  }
  EXPECT_EQ(kStretch.front(), -kLogisticLimit);
  EXPECT_EQ(kStretch.back(), kLogisticLimit);
}

TEST(MixedSlot, LearnsTheShareOfOnes) {
  Random random(1);
  MixedSlot slot = kFreshSlot;
  for (int i = 0; i < 5000; ++i) slot = UpdateSlot(slot, random.Below(10) == 0);
  EXPECT_NEAR(static_cast<double>(slot >> 10) / (1 << 22), 0.1, 0.02);
  EXPECT_EQ(slot & 1023, kSlotLimit);
}

TEST(MixedSlot, StaysInRangeHoweverOneSided) {
  MixedSlot ones = kFreshSlot, zeros = kFreshSlot;
  for (int i = 0; i < 1000000; ++i) {
    ones = UpdateSlot(ones, true);
    zeros = UpdateSlot(zeros, false);
  }
  EXPECT_GT(ones >> 10, (1U << 22) - 2000);
  EXPECT_LT(zeros >> 10, 2000U);
}

TEST(MixedDecision, TrustsTheSlotThatKnows) {
  Random random(2);
  Recorder coder;
  MixedWeights weights;
  MixedSlot knows[2] = {kFreshSlot, kFreshSlot}, guesses = kFreshSlot, other = kFreshSlot;
  int sure = 0;
  for (int i = 0; i < 20000; ++i) {
    bool bit = random.Below(2) != 0;
    MixedDecision decision(knows[bit ? 1 : 0], guesses, other, weights);
    decision.Code(coder, bit);
    if (i >= 10000) sure += bit ? coder.one > 64000 : coder.one < 1536;
  }
  EXPECT_GT(sure, 9900);
  EXPECT_GT(static_cast<int32_t>(weights.a), 22938);
}

TEST(MeanDecision, LiesBetweenItsSlots) {
  Recorder coder;
  MixedSlot low = UpdateSlot(kFreshSlot, false), high = kFreshSlot;
  CodeMean(coder, low, high, true);
  EXPECT_GT(coder.one, 16384U);
  EXPECT_LT(coder.one, 32768U);
}

}  // namespace
}  // namespace flyweight
