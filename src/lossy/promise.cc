#include <algorithm>
#include <cmath>

#include "lossy/quantise.h"
#include "lossy/strips.h"

namespace flyweight {
namespace {

/// Half a unit in the last place of a number near `magnitude`, and half the smallest subnormal.
struct Rounding {
  double relative;
  double absolute;
  double At(double magnitude) const { return magnitude * relative + absolute; }
};

constexpr Rounding kRoundingF16{0x1p-11, 0x1p-25};
constexpr Rounding kRoundingBF16{0x1p-8, 0x1p-134};
constexpr Rounding kRoundingF32{0x1p-24, 0x1p-150};

/// What storing a restored F32 value as an element costs.
Rounding RoundingOf(DType dtype) {
  if (dtype == DType::kF16) return kRoundingF16;
  return dtype == DType::kBF16 ? kRoundingBF16 : Rounding{0, 0};
}

double ElementAt(DType dtype, const std::byte* elements, size_t i) {
  if (dtype == DType::kF64) return LoadLe<double>(elements + 8 * i);
  if (dtype == DType::kF32) return static_cast<double>(LoadLe<float>(elements + 4 * i));
  float value;
  LoadStrip(dtype, elements + 2 * i, 1, &value);
  return static_cast<double>(value);
}

bool HalvesKeepPromise(const LossyChoice& choice, const double* source, const double* restored, size_t count) {
  const Rounding rounding = choice.method == LossyMethod::kF16 ? kRoundingF16 : kRoundingBF16;
  bool kept = true;
  for (size_t i = 0; i < count; ++i) {
    // F64 is rounded to F32 first.
    double bound = rounding.At(std::fabs(source[i]) * (1 + 0x1p-23)) + kRoundingF32.At(std::fabs(source[i]));
    kept &= std::isfinite(source[i]) ? std::fabs(source[i] - restored[i]) <= bound : true;
  }
  return kept;
}

bool BlockKeepsPromise(const LossyChoice& choice, DType dtype, const double* source, const double* restored,
                       size_t count) {
  double low = source[0], high = source[0], worst = 0;
  for (size_t i = 0; i < count; ++i) {
    low = std::min(low, source[i]);
    high = std::max(high, source[i]);
    worst = std::max(worst, std::fabs(source[i] - restored[i]));
  }
  double largest = std::max(std::fabs(low), std::fabs(high));
  // The minimum is rounded down by at most 2^-7 of itself, the scale up by as much of itself.
  double range = choice.has_minimum ? high - low + std::fabs(low) * 0x1p-7 + 0x1p-133 : largest;
  double steps = choice.has_minimum ? HighestCode(choice) : HighestCode(choice) / 2;
  double half_step = std::max(range / steps * (1 + 0x1p-7), 0x1p-126) / 2;
  double restored_magnitude = largest + 2 * half_step;
  // Division, sum and the rounding of F64 to F32 each cost an F32 rounding of the values at hand.
  return worst <=
         half_step * (1 + 0x1p-14) + 4 * kRoundingF32.At(restored_magnitude) + RoundingOf(dtype).At(restored_magnitude);
}

}  // namespace

bool KeepsPromise(const LossyChoice& choice, DType dtype, ByteSpan source, ByteSpan restored) {
  // Differences promise what was measured of the whole tensor, no more.
  if (choice.method == LossyMethod::kDelta) return true;
  const size_t element_bytes = LossyElementBytes(dtype);
  const size_t element_count = source.size() / element_bytes;
  const size_t step = choice.method == LossyMethod::kBlocks ? choice.block : kLossyMaxBlock;
  double a[kLossyMaxBlock];
  double b[kLossyMaxBlock];
  for (size_t begin = 0; begin < element_count; begin += step) {
    size_t count = std::min(step, element_count - begin);
    for (size_t i = 0; i < count; ++i) {
      a[i] = ElementAt(dtype, source.data(), begin + i);
      b[i] = ElementAt(dtype, restored.data(), begin + i);
    }
    bool kept = choice.method == LossyMethod::kBlocks ? BlockKeepsPromise(choice, dtype, a, b, count)
                                                      : HalvesKeepPromise(choice, a, b, count);
    if (!kept) return false;
  }
  return true;
}

}  // namespace flyweight
