#include "codec/decay_samples.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>

namespace flyweight {
namespace {

constexpr uint32_t kMantissaMask = 0x7FFFFF;
constexpr uint32_t kHiddenBit = 0x800000;
constexpr size_t kMinStretches = 4;
constexpr size_t kMaxWeights = size_t{1} << 17;
constexpr size_t kWeightsPerPoint = 32;
constexpr size_t kMaxPoints = 1024;
constexpr size_t kMinPoints = 32;
constexpr size_t kMinWeightsOfPoint = 8;

bool IsNormal(uint32_t word) {
  uint32_t exponent = word >> 23 & 0xFF;
  return exponent != 0 && exponent != 0xFF;
}

/// Whether a weight is comparable with what it was: one sign, one exponent, not grown.
bool Shrank(uint32_t base, uint32_t tensor) { return IsNormal(base) && base >> 23 == tensor >> 23 && tensor <= base; }

double SignificandOf(uint32_t word) { return ((word & kMantissaMask) | kHiddenBit) * 0x1p-24; }

/// Units lost by a significand of 1, where the stretch lost in proportion; else 0.
double ProportionalLoss(std::span<const uint32_t> base, std::span<const uint32_t> tensor) {
  double units = 0, significands = 0;
  size_t shrunk = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    if (!Shrank(base[i], tensor[i])) continue;
    units += base[i] - tensor[i];
    significands += SignificandOf(base[i]);
    ++shrunk;
  }
  if (shrunk * 4 < base.size() * 3 || units < significands / 2) return 0;
  const double loss = units / significands;
  size_t near = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    if (!Shrank(base[i], tensor[i])) continue;
    const double expected = loss * SignificandOf(base[i]);
    // Rounding at each step makes a curve of steps, far from a line where the steps are few.
    near += std::abs(base[i] - tensor[i] - expected) <= 0.4 * expected + 2 ? 1 : 0;
  }
  return near * 10 >= shrunk * 9 ? loss : 0;
}

}  // namespace

DecayedWeights FindDecayed(const WordPairs& pairs) {
  const size_t size = pairs.stretch_elements;
  std::vector<double> losses(pairs.stretch_count()), found;
  for (size_t s = 0; s < losses.size(); ++s) {
    losses[s] = ProportionalLoss(std::span(pairs.base).subspan(s * size, size),
                                 std::span(pairs.tensor).subspan(s * size, size));
    if (losses[s] > 0) found.push_back(losses[s]);
  }
  DecayedWeights decayed;
  if (found.size() < kMinStretches) return decayed;
  const auto middle = found.begin() + static_cast<ptrdiff_t>(found.size() / 2);
  std::nth_element(found.begin(), middle, found.end());
  decayed.mean_units = *middle;
  for (size_t s = 0; s < losses.size() && decayed.weights.size() < kMaxWeights; ++s) {
    if (std::abs(losses[s] - decayed.mean_units) > 0.1 * decayed.mean_units) continue;
    for (size_t i = s * size; i < (s + 1) * size; ++i) {
      const uint32_t base = pairs.base[i], tensor = pairs.tensor[i];
      if (!Shrank(base, tensor)) continue;
      const uint32_t units = base - tensor;
      decayed.weights.push_back({base, tensor, units, SignificandOf(base) - units * 0x1p-25});
    }
  }
  return decayed;
}

LossCurve MeasureLoss(const DecayedWeights& decayed) {
  LossCurve curve;
  const size_t point_count = std::min(kMaxPoints, decayed.weights.size() / kWeightsPerPoint);
  if (point_count < kMinPoints) return curve;
  std::vector<std::vector<LossCurve::Point>> buckets(point_count);
  for (const DecayedWeight& weight : decayed.weights) {
    const double place = (weight.middle - 0.5) * 2 * static_cast<double>(point_count);
    if (place < 0 || place >= static_cast<double>(point_count)) continue;
    buckets[static_cast<size_t>(place)].push_back({weight.middle, static_cast<double>(weight.units)});
  }
  for (std::vector<LossCurve::Point>& bucket : buckets) {
    if (bucket.size() < kMinWeightsOfPoint) continue;
    std::sort(bucket.begin(), bucket.end(), [](const LossCurve::Point& a, const LossCurve::Point& b) {
      return a.units != b.units ? a.units < b.units : a.significand < b.significand;
    });
    // A jump inside the bucket shows as two numbers; a weight or two that decay did not make are no jump.
    const size_t eighth = bucket.size() / 8;
    if (bucket[eighth].units == bucket[bucket.size() - 1 - eighth].units)
      curve.points.push_back(bucket[bucket.size() / 2]);
  }
  return curve;
}

}  // namespace flyweight
