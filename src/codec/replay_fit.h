#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transform/replay/replay.h"

namespace flyweight {

/// F32 words of a base and of a tensor made from it: stretches of neighbours, one behind the other.
struct WordPairs {
  size_t stretch_elements = 0;
  std::vector<uint32_t> base;
  std::vector<uint32_t> tensor;

  size_t stretch_count() const { return stretch_elements == 0 ? 0 : base.size() / stretch_elements; }
};

/// Finds the multiplications that decoupled weight decay did to those stretches that got nothing else, whatever the
/// schedule of the learning rate; empty where there are none such. The result depends on the words alone.
///
/// A step with factor 1 - m 2^-24 takes round(m u) units in the last place from a weight with significand u in [1/2,
/// 1), so n_m steps for each m take D(u) = sum of n_m round(m u): the heights of D's jumps, at (2k + 1) / (2m), tell
/// all n_m.
std::vector<ReplayRun> FitDecay(const WordPairs& pairs);

/// Finds the one factor that all elements were multiplied by; empty where there is none but 1.
std::vector<ReplayRun> FitScale(const WordPairs& pairs);

}  // namespace flyweight
