#include "entropy/fixed_log2.h"

#include <gtest/gtest.h>

#include <cmath>

namespace flyweight {
namespace {

static_assert(Log2Fixed(1) == 0);
static_assert(Log2Fixed(2) == int64_t{1} << kLog2FractionBits);

TEST(Log2Fixed, IsExactForPowersOfTwo) {
  for (int k = 0; k < 64; ++k) {
    EXPECT_EQ(Log2Fixed(uint64_t{1} << k), int64_t{k} << kLog2FractionBits) << "2^" << k;
  }
}

TEST(Log2Fixed, RoundsDownAndIsWithinOneUnit) {
  auto expect_close = [](uint64_t x) {
    double exact = std::log2(static_cast<double>(x)) * 65536;
    double lost = exact - static_cast<double>(Log2Fixed(x));
    EXPECT_GT(lost, -0.01) << x;
    EXPECT_LT(lost, 1.01) << x;
  };
  for (uint64_t x = 1; x < 5000; ++x) expect_close(x);
  for (int k = 13; k < 53; ++k) {
    for (uint64_t step : {1, 3, 7}) expect_close((uint64_t{1} << k) / 8 * (8 + step) + 1);
  }
}

TEST(Log2Fixed, NeverFalls) {
  for (uint64_t x = 2; x < 70000; ++x) ASSERT_LE(Log2Fixed(x - 1), Log2Fixed(x)) << x;
  EXPECT_LT(Log2Fixed(UINT64_MAX / 2), Log2Fixed(UINT64_MAX));
  EXPECT_LT(Log2Fixed(UINT64_MAX), int64_t{64} << kLog2FractionBits);
}

// The bytes of archives depend on these numbers: they may never change.
TEST(Log2Fixed, GivesItsFrozenValues) {
  EXPECT_EQ(Log2Fixed(3), 103872);
  EXPECT_EQ(Log2Fixed(10), 217705);
  EXPECT_EQ(Log2Fixed(255), 523917);
  EXPECT_EQ(Log2Fixed(1000003), 1306235);
}

}  // namespace
}  // namespace flyweight
