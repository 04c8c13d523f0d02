#include "lossy/allocate.h"

#include <algorithm>
#include <string>
#include <tuple>

namespace flyweight {
namespace {

/// A step along a tensor's hull to its next larger and better candidate.
struct Step {
  double gain_per_byte = 0;
  size_t tensor = 0;
  size_t candidate = 0;
  uint64_t more_bytes = 0;
  size_t number = 0;  ///< along the hulls, one tensor behind the other
};

double Slope(const Candidate& from, const Candidate& to) {
  return (from.error - to.error) / static_cast<double>(to.size_bytes - from.size_bytes);
}

/// The candidates on the lower convex hull, by ascending size and falling error.
std::vector<size_t> HullOf(const std::vector<Candidate>& candidates) {
  std::vector<size_t> order(candidates.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](size_t a, size_t b) {
    return std::tie(candidates[a].size_bytes, candidates[a].error, a) <
           std::tie(candidates[b].size_bytes, candidates[b].error, b);
  });
  std::vector<size_t> hull;
  for (size_t next : order) {
    if (!hull.empty() && candidates[next].error >= candidates[hull.back()].error) continue;
    while (hull.size() >= 2 && Slope(candidates[hull[hull.size() - 2]], candidates[hull.back()]) <=
                                   Slope(candidates[hull.back()], candidates[next])) {
      hull.pop_back();
    }
    hull.push_back(next);
  }
  return hull;
}

std::vector<Step> StepsOf(const std::vector<std::vector<Candidate>>& tensors,
                          const std::vector<std::vector<size_t>>& hulls) {
  std::vector<Step> steps;
  for (size_t t = 0; t < tensors.size(); ++t) {
    for (size_t i = 1; i < hulls[t].size(); ++i) {
      const Candidate& from = tensors[t][hulls[t][i - 1]];
      const Candidate& to = tensors[t][hulls[t][i]];
      steps.push_back({Slope(from, to), t, hulls[t][i], to.size_bytes - from.size_bytes, steps.size()});
    }
  }
  // Along one hull slopes fall, so the numbers keep each tensor's steps in turn.
  std::ranges::sort(steps, [](const Step& a, const Step& b) {
    return a.gain_per_byte != b.gain_per_byte ? a.gain_per_byte > b.gain_per_byte : a.number < b.number;
  });
  return steps;
}

}  // namespace

Result<std::vector<size_t>> AllocateBits(const std::vector<std::vector<Candidate>>& tensors, uint64_t budget_bytes,
                                         uint64_t fixed_bytes) {
  std::vector<std::vector<size_t>> hulls;
  std::vector<size_t> chosen;
  uint64_t used_bytes = fixed_bytes;
  for (const std::vector<Candidate>& candidates : tensors) {
    hulls.push_back(HullOf(candidates));
    chosen.push_back(hulls.back().front());
    used_bytes += candidates[chosen.back()].size_bytes;
  }
  if (used_bytes > budget_bytes) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "the budget of " + std::to_string(budget_bytes) + " bytes is too small: at least about " +
                     std::to_string(used_bytes) + " bytes are needed"};
  }
  std::vector<bool> is_stuck(tensors.size(), false);
  for (const Step& step : StepsOf(tensors, hulls)) {
    is_stuck[step.tensor] = is_stuck[step.tensor] || step.more_bytes > budget_bytes - used_bytes;
    if (is_stuck[step.tensor]) continue;
    used_bytes += step.more_bytes;
    chosen[step.tensor] = step.candidate;
  }
  return chosen;
}

}  // namespace flyweight
