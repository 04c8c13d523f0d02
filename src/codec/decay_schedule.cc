#include "codec/decay_schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace flyweight {
namespace {

constexpr size_t kDistances = 65;  // 0 to 64 units of 2^-24
constexpr int kSweeps = 400;
constexpr size_t kMaxSensitive = 1024;

using Counts = std::array<uint32_t, kDistances>;  // steps by distance

double Loss(size_t distance, double significand) {
  return std::floor(static_cast<double>(distance) * significand + 0.5);
}

/// Least squares without negative numbers, by coordinate descent, over the curve's jumps from point to point. Jumps
/// and not losses: all distances lose about alike, but no two jump at the same places.
std::array<double, kDistances> SolveJumps(const LossCurve& curve) {
  std::array<std::array<double, kDistances>, kDistances> gram = {};
  std::array<double, kDistances> right = {}, solution = {}, jumps = {};
  for (size_t p = 1; p < curve.points.size(); ++p) {
    const LossCurve::Point &before = curve.points[p - 1], &after = curve.points[p];
    for (size_t m = 2; m < kDistances; ++m) jumps[m] = Loss(m, after.significand) - Loss(m, before.significand);
    for (size_t m = 2; m < kDistances; ++m) {
      if (jumps[m] == 0) continue;
      right[m] += jumps[m] * (after.units - before.units);
      for (size_t k = 2; k < kDistances; ++k) gram[m][k] += jumps[m] * jumps[k];
    }
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (size_t m = kDistances - 1; m >= 2; --m) {
      if (gram[m][m] == 0) continue;
      double rest = right[m];
      for (size_t k = 2; k < kDistances; ++k) rest -= gram[m][k] * solution[k];
      solution[m] = std::max(0.0, solution[m] + rest / gram[m][m]);
    }
  }
  return solution;
}

Counts CountSteps(const LossCurve& curve) {
  const std::array<double, kDistances> solution = SolveJumps(curve);
  Counts counts = {};
  for (size_t m = 2; m < kDistances; ++m)
    counts[m] = static_cast<uint32_t>(std::min(solution[m] + 0.5, static_cast<double>(kReplayStepsMax)));
  // Steps of one unit take one from every weight and jump nowhere: they are what is left.
  std::vector<double> left;
  for (const LossCurve::Point& point : curve.points) {
    double units = point.units;
    for (size_t m = 2; m < kDistances; ++m) units -= counts[m] * Loss(m, point.significand);
    left.push_back(units);
  }
  std::nth_element(left.begin(), left.begin() + static_cast<ptrdiff_t>(left.size() / 2), left.end());
  counts[1] = static_cast<uint32_t>(std::clamp(left[left.size() / 2], 0.0, static_cast<double>(kReplayStepsMax)));
  return counts;
}

/// Rising through `first` of each distance's steps, then falling through the others.
std::vector<ReplayRun> InOrder(const Counts& counts, const Counts& first) {
  std::vector<ReplayRun> runs;
  auto add = [&runs](size_t distance, uint32_t steps) {
    if (steps == 0) return;
    const double factor = 1 - static_cast<double>(distance) * 0x1p-24;
    if (!runs.empty() && runs.back().factor == factor) {
      runs.back().steps += steps;
    } else {
      runs.push_back({factor, steps});
    }
  };
  for (size_t m = 1; m < kDistances; ++m) add(m, first[m]);
  for (size_t m = kDistances - 1; m >= 1; --m) add(m, counts[m] - first[m]);
  return runs;
}

/// The weights on which the order of steps shows.
struct Sensitive {
  std::vector<uint32_t> base;
  std::vector<uint32_t> tensor;

  size_t Hits(std::span<const ReplayRun> runs) const {
    const std::vector<uint32_t> replayed = Replayed(runs, base);
    size_t hits = 0;
    for (size_t i = 0; i < base.size(); ++i) hits += replayed[i] == tensor[i] ? 1 : 0;
    return hits;
  }
};

Sensitive FindSensitive(const Counts& counts, const std::vector<DecayedWeight>& weights) {
  std::vector<uint32_t> base;
  for (const DecayedWeight& weight : weights) base.push_back(weight.base);
  const std::vector<uint32_t> rising = Replayed(InOrder(counts, counts), base);
  const std::vector<uint32_t> falling = Replayed(InOrder(counts, {}), base);
  Sensitive sensitive;
  for (size_t i = 0; i < base.size() && sensitive.base.size() < kMaxSensitive; ++i) {
    if (rising[i] == falling[i]) continue;
    sensitive.base.push_back(base[i]);
    sensitive.tensor.push_back(weights[i].tensor);
  }
  return sensitive;
}

/// Looks for the number of steps of distance `m` before the peak that gives most weights, in ever smaller strides.
/// `hits` is what `first` gives.
void ImproveSplit(const Counts& counts, size_t m, const Sensitive& sensitive, Counts& first, size_t& hits) {
  for (uint32_t stride = std::max(1u, counts[m] / 8);; stride /= 4) {
    const uint32_t low = first[m] - std::min(first[m], 8 * stride);
    const uint32_t high = std::min(counts[m], first[m] + 8 * stride);
    Counts tried = first;
    for (tried[m] = low; tried[m] <= high; tried[m] += stride) {
      const size_t tried_hits = sensitive.Hits(InOrder(counts, tried));
      if (tried_hits > hits) hits = tried_hits, first = tried;
    }
    if (stride == 1) return;
    if (stride < 4) stride = 4;
  }
}

/// How many steps of each distance stand before the peak: each by itself, in turn, from all and from none.
std::vector<ReplayRun> BestOrder(const Counts& counts, const std::vector<DecayedWeight>& weights) {
  const Sensitive sensitive = FindSensitive(counts, weights);
  std::vector<ReplayRun> best = InOrder(counts, counts);
  if (sensitive.base.empty()) return best;
  size_t best_hits = sensitive.Hits(best);
  for (const Counts& start : {counts, Counts{}}) {
    Counts first = start;
    size_t hits = sensitive.Hits(InOrder(counts, first));
    for (int round = 0; round < 4 && hits < sensitive.base.size(); ++round) {
      for (size_t m = 1; m < kDistances; ++m) {
        if (counts[m] != 0) ImproveSplit(counts, m, sensitive, first, hits);
      }
    }
    if (hits > best_hits) best_hits = hits, best = InOrder(counts, first);
  }
  return best;
}

}  // namespace

std::vector<ReplayRun> FitSchedule(const LossCurve& curve, const std::vector<DecayedWeight>& weights) {
  if (curve.points.size() < 2) return {};
  const Counts counts = CountSteps(curve);
  uint64_t steps = 0;
  for (uint32_t count : counts) steps += count;
  if (steps == 0 || steps > kReplayStepsMax) return {};
  return BestOrder(counts, weights);
}

}  // namespace flyweight
