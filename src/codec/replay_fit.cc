#include "codec/replay_fit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/bytes.h"
#include "codec/decay_samples.h"
#include "codec/decay_schedule.h"

namespace flyweight {
namespace {

constexpr double kUnit = 0x1p-24;
constexpr size_t kJudgedWeights = 4096;
constexpr double kGoodShare = 0.9;
constexpr double kMinShare = 0.02;

/// The weights that a list of runs is judged by, spread over all.
struct Judge {
  std::vector<uint32_t> base;
  std::vector<uint32_t> tensor;

  explicit Judge(const std::vector<DecayedWeight>& weights) {
    const size_t step = 1 + weights.size() / kJudgedWeights;
    for (size_t i = 0; i < weights.size(); i += step) {
      base.push_back(weights[i].base);
      tensor.push_back(weights[i].tensor);
    }
  }

  /// The share of the first `count` weights that the runs give exactly.
  double Share(std::span<const ReplayRun> runs, size_t count) const {
    count = std::min(count, base.size());
    if (count == 0) return 0;
    std::vector<uint32_t> replayed = Replayed(runs, std::span(base).first(count));
    size_t hits = 0;
    for (size_t i = 0; i < count; ++i) hits += replayed[i] == tensor[i] ? 1 : 0;
    return static_cast<double>(hits) / static_cast<double>(count);
  }
  double Share(std::span<const ReplayRun> runs) const { return Share(runs, base.size()); }
};

struct Choice {
  std::vector<ReplayRun> runs;
  double share = kMinShare;

  void Offer(std::vector<ReplayRun> offered, const Judge& judge) {
    if (offered.empty()) return;
    const double offered_share = judge.Share(offered);
    if (offered_share <= share) return;
    share = offered_share;
    runs = std::move(offered);
  }
};

/// The value in [low, high] with the fewest decimal digits, as people write learning rates.
double SimplestBetween(double low, double high) {
  const double middle = (low + high) / 2;
  for (int digits = 0; digits < 17; ++digits) {
    std::array<char, 40> text;
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), middle, std::chars_format::scientific, digits);
    double value = 0;
    std::from_chars(text.data(), end.ptr, value);
    if (value >= low && value <= high) return value;
  }
  return middle;
}

/// One factor for all steps, whatever its distance from 1: the number of steps divides all losses, and each loss then
/// bounds the distance.
void OfferAnyFactor(const LossCurve& curve, const Judge& judge, Choice& choice) {
  uint64_t divisor = 0;
  for (const LossCurve::Point& point : curve.points) divisor = std::gcd(divisor, static_cast<uint64_t>(point.units));
  for (uint64_t steps = std::min(divisor, kReplayStepsMax); steps > 0; --steps) {
    if (divisor % steps != 0) continue;
    double low = 0, high = 1 / kUnit;
    for (const LossCurve::Point& point : curve.points) {
      const double lost = point.units / static_cast<double>(steps);
      low = std::max(low, (lost - 0.5) / point.significand);
      high = std::min(high, (lost + 0.5) / point.significand);
    }
    if (low >= high) continue;
    const auto count = static_cast<uint32_t>(steps);
    choice.Offer({{1 - std::round((low + high) / 2) * kUnit, count}}, judge);
    choice.Offer({{1 - SimplestBetween(low * kUnit, high * kUnit), count}}, judge);
  }
}

/// One factor of F32 for all steps: tried for every number of steps, with the distances from 1 that give the mean loss.
/// Small distances need no trial where the curve is known well, for schedules of them were looked for.
void OfferConstant(double mean_units, const LossCurve& curve, const Judge& judge, Choice& choice) {
  constexpr size_t kFirstLook = 64;
  constexpr double kTriedSteps = 1024;
  constexpr size_t kKnownWell = 256;
  constexpr double kKnownDistance = 48;
  const double most_steps = curve.points.size() >= kKnownWell ? mean_units / kKnownDistance : 1.5 * mean_units + 1;
  for (uint32_t steps = 1; steps <= std::min(most_steps, kTriedSteps); ++steps) {
    const double distance = mean_units / steps;
    const double tolerance = distance < 8 ? 0.1 * distance + 1 : 0.001 * distance + 1;
    const double last = std::min(distance + tolerance, 65535.0);
    for (double m = std::max(1.0, std::ceil(distance - tolerance)); m <= last; ++m) {
      const ReplayRun run{1 - m * kUnit, steps};
      if (judge.Share({&run, 1}, kFirstLook) > 0.25) choice.Offer({run}, judge);
      if (choice.share >= kGoodShare) return;
    }
  }
}

}  // namespace

std::vector<uint32_t> Replayed(std::span<const ReplayRun> runs, std::span<const uint32_t> words) {
  std::vector<uint32_t> replayed(words.size());
  Replay(runs, words.size())
      .Apply(reinterpret_cast<const std::byte*>(words.data()), words.size(),
             reinterpret_cast<std::byte*>(replayed.data()));
  return replayed;
}

std::vector<ReplayRun> FitDecay(const WordPairs& pairs) {
  const DecayedWeights decayed = FindDecayed(pairs);
  if (decayed.weights.empty()) return {};
  const Judge judge(decayed.weights);
  const LossCurve curve = MeasureLoss(decayed);
  Choice choice;
  choice.Offer(FitSchedule(curve, decayed.weights), judge);
  if (choice.share < kGoodShare) OfferAnyFactor(curve, judge, choice);
  if (choice.share < kGoodShare) OfferConstant(decayed.mean_units, curve, judge, choice);
  if (choice.runs.empty()) choice.runs = {{1 - decayed.mean_units * kUnit, 1}};
  return choice.runs;
}

std::vector<ReplayRun> FitScale(const WordPairs& pairs) {
  double low = 0, high = HUGE_VAL;
  for (size_t i = 0; i < pairs.base.size() && low < high; ++i) {
    const double x = std::bit_cast<float>(pairs.base[i]), y = std::bit_cast<float>(pairs.tensor[i]);
    const uint32_t exponent = pairs.tensor[i] >> 23 & 0xFF;
    if (!std::isfinite(x) || exponent == 0xFF || x == 0 || exponent < 24) continue;
    if ((pairs.base[i] ^ pairs.tensor[i]) >> 31 != 0) return {};
    const double half_unit = std::ldexp(1.0, static_cast<int>(exponent) - 127 - 24);
    low = std::max(low, (std::abs(y) - half_unit) / std::abs(x));
    high = std::min(high, (std::abs(y) + half_unit) / std::abs(x));
  }
  if (!(low > 0x1p-7 && high < 0x1p7 && low < high) || (low <= 1 && high >= 1)) return {};
  const double simplest = SimplestBetween(low, high);
  const double narrow = static_cast<double>(static_cast<float>(simplest));
  return {{narrow > low && narrow < high ? narrow : simplest, 1}};
}

}  // namespace flyweight
