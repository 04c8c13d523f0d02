#include "lossy/error_sums.h"

#include <algorithm>
#include <cmath>

#include "lossy/quantise.h"
#include "lossy/strips.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::AddErrors32)> kAddErrors32 = FLYWEIGHT_ISA_TABLE(AddErrors32);
constexpr IsaTable<decltype(&scalar::AddErrors64)> kAddErrors64 = FLYWEIGHT_ISA_TABLE(AddErrors64);

void AddStrip(DType dtype, const std::byte* source, const std::byte* restored, size_t count, ErrorLanes& lanes) {
  if (dtype == DType::kF64) {
    double a[kLossyStrip];
    double b[kLossyStrip];
    std::memcpy(a, source, count * sizeof(double));
    std::memcpy(b, restored, count * sizeof(double));
    return kAddErrors64.Pick()(a, b, count, lanes);
  }
  float a[kLossyStrip];
  float b[kLossyStrip];
  LoadStrip(dtype, source, count, a);
  LoadStrip(dtype, restored, count, b);
  kAddErrors32.Pick()(a, b, count, lanes);
}

}  // namespace

void ErrorSums::Add(const ErrorSums& later) {
  max_abs = std::max(max_abs, later.max_abs);
  squares += later.squares;
  energy += later.energy;
  largest = std::max(largest, later.largest);
  special_count += later.special_count;
  broken_count += later.broken_count;
  element_count += later.element_count;
}

double ErrorSums::Rms() const {
  return element_count == 0 ? 0.0 : std::sqrt(squares / static_cast<double>(element_count));
}

bool ErrorSums::IsSound() const { return broken_count == 0 && std::isfinite(max_abs) && std::isfinite(squares); }

ErrorSums MeasureErrors(DType dtype, ByteSpan source, ByteSpan restored) {
  const size_t element_bytes = LossyElementBytes(dtype);
  ErrorSums sums;
  sums.element_count = source.size() / element_bytes;
  ErrorLanes lanes;
  for (size_t begin = 0; begin < sums.element_count; begin += kLossyStrip) {
    size_t count = std::min<size_t>(kLossyStrip, sums.element_count - begin);
    AddStrip(dtype, source.data() + begin * element_bytes, restored.data() + begin * element_bytes, count, lanes);
  }
  for (size_t lane = 0; lane < std::size(lanes.squares); ++lane) {
    sums.max_abs = std::max(sums.max_abs, lanes.max_abs[lane]);
    sums.squares += lanes.squares[lane];
    sums.energy += lanes.energy[lane];
    sums.largest = std::max(sums.largest, lanes.largest[lane]);
    sums.special_count += static_cast<uint64_t>(lanes.specials[lane]);
    sums.broken_count += static_cast<uint64_t>(lanes.broken[lane]);
  }
  return sums;
}

}  // namespace flyweight
