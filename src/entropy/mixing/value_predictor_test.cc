#include "entropy/mixing/value_predictor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "support/random.h"

namespace flyweight {
namespace {

using test::Random;

constexpr int32_t kLargest = 1 << 19;

// Small values, large ones and the largest there are.
int32_t AnyValue(Random& random) {
  switch (random.Below(4)) {
    case 0:
      return random.Below(2) == 0 ? kLargest : -kLargest;
    case 1:
      return static_cast<int32_t>(random.Between(0, 16)) - 8;
    default:
      return static_cast<int32_t>(random.Below(1 << 15)) - (1 << 14);
  }
}

TEST(ValuePredictor, VectorsComputeWhatTheScalarFormDoes) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    ScalarValuePredictor scalar;
    ValuePredictor vector;
    bool one_sided = seed % 4 == 3;  // weights that grow until they saturate
    for (int i = 0; i < 30000; ++i) {
      if (random.Below(100) == 0) scalar.StartRow(), vector.StartRow();
      int32_t above = one_sided ? kLargest : AnyValue(random), mean = one_sided ? kLargest : AnyValue(random);
      scalar.SetColumn(above, mean);
      vector.SetColumn(above, mean);
      int32_t predicted = scalar.Predict();
      ASSERT_EQ(vector.Predict(), predicted) << "seed " << seed << " word " << i;
      ASSERT_LE(std::abs(predicted), kLargest);
      int32_t value = one_sided ? kLargest : AnyValue(random);
      int octave = static_cast<int>(random.Between(1, 17));
      scalar.Learn(value - predicted, octave);
      vector.Learn(value - predicted, octave);
      scalar.Push(value);
      vector.Push(value);
    }
  }
}

TEST(ValuePredictor, LearnsWhatFollowsFromTheWordBefore) {
  Random random(7);
  ValuePredictor predictor;
  double squares = 0, errors = 0, value = 0;
  for (int i = 0; i < 50000; ++i) {
    value = 0.9 * value + 1000 * random.Gaussian();
    predictor.SetColumn(0, 0);
    int32_t predicted = predictor.Predict();
    auto whole = static_cast<int32_t>(value);
    predictor.Learn(whole - predicted, 10);
    predictor.Push(whole);
    if (i < 25000) continue;
    squares += value * value;
    errors += (value - predicted) * (value - predicted);
  }
  // The best there is leaves 0.19 of the energy.
  EXPECT_LT(errors / squares, 0.22);
}

TEST(ValuePredictor, PredictsNothingFromNoise) {
  Random random(8);
  ValuePredictor predictor;
  double squares = 0, errors = 0;
  for (int i = 0; i < 50000; ++i) {
    auto value = static_cast<int32_t>(4000 * random.Gaussian());
    predictor.SetColumn(static_cast<int32_t>(4000 * random.Gaussian()), 0);
    int32_t predicted = predictor.Predict();
    predictor.Learn(value - predicted, 12);
    predictor.Push(value);
    squares += static_cast<double>(value) * value;
    errors += static_cast<double>(value - predicted) * (value - predicted);
  }
  EXPECT_LT(errors / squares, 1.02);
}

}  // namespace
}  // namespace flyweight
