#pragma once

#include <cstdint>
#include <vector>

#include "codec/replay_fit.h"

namespace flyweight {

/// A weight that decay alone seems to have changed.
struct DecayedWeight {
  uint32_t base = 0;    ///< its word
  uint32_t tensor = 0;  ///< its word afterwards
  uint32_t units = 0;   ///< what it lost, in units in the last place
  double middle = 0;    ///< its significand in [1/2, 1), half way
};

struct DecayedWeights {
  std::vector<DecayedWeight> weights;
  double mean_units = 0;  ///< lost by a significand of 1
};

/// The weights of stretches that lost what is about proportional to them. Empty where there are only a few.
DecayedWeights FindDecayed(const WordPairs& pairs);

/// D over u: what significands of [1/2, 1) lose, in even steps of u.
struct LossCurve {
  struct Point {
    double significand = 0;
    double units = 0;
  };
  std::vector<Point> points;  ///< ascending; only places where all weights agree
};
LossCurve MeasureLoss(const DecayedWeights& decayed);

}  // namespace flyweight
