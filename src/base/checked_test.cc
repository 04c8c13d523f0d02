#include "base/checked.h"

#include <gtest/gtest.h>

namespace flyweight {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

TEST(CheckedAdd, GivesNothingOnOverflow) {
  EXPECT_EQ(CheckedAdd(2, 3), 5U);
  EXPECT_EQ(CheckedAdd(kMax, 0), kMax);
  EXPECT_EQ(CheckedAdd(kMax, 1), std::nullopt);
  EXPECT_EQ(CheckedAdd(uint64_t{1} << 63, uint64_t{1} << 63), std::nullopt);
}

TEST(CheckedMul, GivesNothingOnOverflow) {
  EXPECT_EQ(CheckedMul(6, 7), 42U);
  EXPECT_EQ(CheckedMul(kMax, 1), kMax);
  EXPECT_EQ(CheckedMul(kMax, 0), 0U);
  EXPECT_EQ(CheckedMul(uint64_t{1} << 32, uint64_t{1} << 32), std::nullopt);
  EXPECT_EQ(CheckedMul(kMax, 2), std::nullopt);
}

TEST(CeilDiv, RoundsUpWithoutOverflow) {
  EXPECT_EQ(CeilDiv(0, 8), 0U);
  EXPECT_EQ(CeilDiv(1, 8), 1U);
  EXPECT_EQ(CeilDiv(8, 8), 1U);
  EXPECT_EQ(CeilDiv(9, 8), 2U);
  EXPECT_EQ(CeilDiv(kMax, 2), uint64_t{1} << 63);
  EXPECT_EQ(CeilDiv(kMax, kMax), 1U);
}

}  // namespace
}  // namespace flyweight
