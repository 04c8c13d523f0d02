#include "transform/scaled_integers/scale_fit.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace flyweight {
namespace {

constexpr int32_t kMaxFirstInteger = 32;
constexpr size_t kMaxSkipped = 3;
// With less a fit is taken for certain.
constexpr double kNoChance = 0x1p-24;
constexpr uint32_t kInfinity = 0x7F800000U;

uint32_t BitsOf(float value) { return std::bit_cast<uint32_t>(value); }
float FloatOf(uint32_t bits) { return std::bit_cast<float>(bits); }

// The reals that round to a word, a little widened: only candidates are found with them.
struct Interval {
  double low;
  double high;
};

double HalfValue(uint32_t word) {
  uint32_t exponent = word >> 10;
  if (exponent == 0) return static_cast<double>(word) * 0x1p-24;
  return static_cast<double>(std::bit_cast<double>((uint64_t{exponent} + 1008) << 52 | uint64_t{word & 0x3FFU} << 42));
}

Interval PreimageOf(ScaledForm form, uint32_t word) {
  constexpr double kSlack = 0x1p-23;
  double low = 0, high = 0;
  if (form.word == ScaledWord::kF32) {
    low = high = static_cast<double>(FloatOf(word));
  } else if (form.word == ScaledWord::kF16) {
    double value = HalfValue(word);
    low = (HalfValue(word - 1) + value) / 2;
    high = (HalfValue(word + 1) + value) / 2;
  } else if (form.rounding == ScaledRounding::kTruncate) {
    low = static_cast<double>(FloatOf(word << 16));
    high = static_cast<double>(FloatOf((word + 1) << 16));
  } else {
    low = static_cast<double>(FloatOf((word << 16) - 0x8000U));
    high = static_cast<double>(FloatOf((word << 16) + 0x8000U));
  }
  return {low * (1 - kSlack), high * (1 + kSlack)};
}

bool IsFinite(ScaledForm form, uint32_t word) {
  uint32_t infinity = form.word == ScaledWord::kF16   ? 0x7C00U
                      : form.word == ScaledWord::kF32 ? kInfinity
                                                      : kInfinity >> 16;
  return word < infinity;
}

// The scales that are left while magnitudes are taken for integers times one of them.
class Hypothesis {
 public:
  Hypothesis(const Interval& first, int32_t k) { Set({first.low / k, first.high / k}); }

  bool Accept(const Interval& next) {
    const double most = next.high * inverse_low_;
    if (!(most >= 1 && next.low * inverse_high_ <= kMaxScaledInteger)) return false;
    const auto k = static_cast<double>(static_cast<int64_t>(most));
    if (k * scales_.high < next.low) return false;
    // Where several integers are possible, later magnitudes tell which; a second walk comes back to this one.
    if ((k - 1) * scales_.high >= next.low) return true;
    if (next.low > scales_.low * k || next.high < scales_.high * k)
      Set({std::max(scales_.low, next.low / k), std::min(scales_.high, next.high / k)});
    return true;
  }

  // The part of the reals near a magnitude that would have been accepted.
  double ChanceOf(const Interval& magnitude) const {
    double steps = magnitude.high * inverse_low_;
    return std::min(1.0, (magnitude.high - magnitude.low) * inverse_low_ + steps * (scales_.high * inverse_low_ - 1));
  }

  const Interval& scales() const { return scales_; }

 private:
  void Set(const Interval& scales) {
    scales_ = scales;
    inverse_low_ = 1 / scales.low;
    inverse_high_ = 1 / scales.high;
  }

  Interval scales_{};
  double inverse_low_ = 0;
  double inverse_high_ = 0;
};

bool Walk(ScaledForm form, std::span<const CountedMagnitude> ascending, uint32_t misses_left, Hypothesis& hypothesis) {
  for (const CountedMagnitude& each : ascending) {
    if (IsFinite(form, each.word) && hypothesis.Accept(PreimageOf(form, each.word))) continue;
    if (each.count > misses_left) return false;
    misses_left -= each.count;
  }
  return true;
}

// The smallest scale in (low, high] whose product reaches `word`, by bisection. Preconditions: low's does not, high's
// does.
uint32_t FirstReaching(ScaledForm form, int32_t k, uint32_t word, uint32_t low, uint32_t high) {
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    (ScaledMagnitude(form, k, FloatOf(middle)) < word ? low : high) = middle;
  }
  return high;
}

// Narrows a range to the scales that give `word` for k; leaves it as it is and returns false where there are none.
bool Narrow(ScaledForm form, int32_t k, uint32_t word, ScaleRange& range) {
  uint32_t at_low = ScaledMagnitude(form, k, FloatOf(range.low_bits));
  uint32_t at_high = ScaledMagnitude(form, k, FloatOf(range.high_bits));
  if (at_low == word && at_high == word) return true;
  if (at_low > word || at_high < word) return false;
  ScaleRange narrowed = range;
  if (at_low < word) narrowed.low_bits = FirstReaching(form, k, word, range.low_bits, range.high_bits);
  if (ScaledMagnitude(form, k, FloatOf(narrowed.low_bits)) != word) return false;
  if (at_high > word) {
    narrowed.high_bits = FirstReaching(form, k, word + 1, narrowed.low_bits, range.high_bits) - 1;
  }
  range = narrowed;
  return true;
}

std::optional<ScaleRange> Exact(ScaledForm form, std::span<const CountedMagnitude> ascending,
                                const Hypothesis& hypothesis, uint32_t misses_left) {
  const Interval& scales = hypothesis.scales();
  if (!(scales.high < static_cast<double>(std::numeric_limits<float>::max()))) return std::nullopt;
  auto low = static_cast<float>(scales.low), high = static_cast<float>(scales.high);
  ScaleRange range{BitsOf(low) - (BitsOf(low) != 0), BitsOf(high), 1};
  if (range.high_bits + 1 < kInfinity) ++range.high_bits;
  const double middle = (scales.low + scales.high) / 2;
  for (const CountedMagnitude& each : ascending) {
    if (IsFinite(form, each.word)) {
      const Interval preimage = PreimageOf(form, each.word);
      const double steps = (preimage.low + preimage.high) / 2 / middle + 0.5;
      if (steps >= 1 && steps < kMaxScaledInteger + 1 && Narrow(form, static_cast<int32_t>(steps), each.word, range)) {
        range.chance *= hypothesis.ChanceOf(preimage);
        continue;
      }
    }
    if (each.count > misses_left) return std::nullopt;
    misses_left -= each.count;
  }
  return range;
}

}  // namespace

std::optional<ScaleRange> FitScale(ScaledForm form, std::span<const CountedMagnitude> ascending,
                                   uint32_t allowed_misses) {
  std::optional<ScaleRange> best;
  uint32_t skipped = 0;
  for (size_t first = 0; first < std::min(ascending.size(), kMaxSkipped + 1); ++first) {
    if (skipped > allowed_misses || !IsFinite(form, ascending[first].word)) break;
    const Interval smallest = PreimageOf(form, ascending[first].word);
    const double reach = kMaxScaledInteger * smallest.high;
    for (int32_t k = 1; k <= kMaxFirstInteger; ++k) {
      if (allowed_misses == 0 && reach < PreimageOf(form, ascending.back().word).low * k) break;
      Hypothesis hypothesis(smallest, k);
      if (!Walk(form, ascending.subspan(first + 1), allowed_misses - skipped, hypothesis)) continue;
      if (!Walk(form, ascending, allowed_misses, hypothesis)) continue;
      std::optional<ScaleRange> range = Exact(form, ascending, hypothesis, allowed_misses);
      if (!range) continue;
      if (!best || range->chance < best->chance) best = range;
      if (range->chance >= kNoChance) continue;
      // An outlier may be a fraction of the scale: only as its whole it is believed at once.
      if (k == 1) return best;
      break;
    }
    skipped += ascending[first].count;
  }
  return best;
}

float SimplestScale(const ScaleRange& range) {
  // The common leading bits, then the first bit in which the ends differ, then zeros; the lower end where it has as
  // few.
  uint32_t differing = (range.low_bits - (range.low_bits != 0)) ^ range.high_bits;
  if (differing == 0) return FloatOf(range.high_bits);
  uint32_t below = (uint32_t{1} << (31 - std::countl_zero(differing))) - 1;
  return FloatOf(range.high_bits & ~below);
}

std::optional<int32_t> IntegerOf(ScaledForm form, uint32_t magnitude, float scale) {
  if (magnitude == 0) return 0;
  if (!IsFinite(form, magnitude) || scale == 0) return std::nullopt;
  Interval preimage = PreimageOf(form, magnitude);
  double steps = (preimage.low + preimage.high) / 2 / static_cast<double>(scale) + 0.5;
  if (!(steps >= 1 && steps < kMaxScaledInteger + 1)) return std::nullopt;
  auto k = static_cast<int32_t>(steps);
  if (ScaledMagnitude(form, k, scale) != magnitude) return std::nullopt;
  return k;
}

}  // namespace flyweight
