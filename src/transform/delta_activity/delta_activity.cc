#include "transform/delta_activity/delta_activity.h"

#include <bit>

namespace flyweight {
namespace {

constexpr IsaTable<MeasureRowFunction> kMeasureRow[] = {
    FLYWEIGHT_ISA_TABLE(MeasureRowBF16), FLYWEIGHT_ISA_TABLE(MeasureRowF16), FLYWEIGHT_ISA_TABLE(MeasureRowF32)};
constexpr IsaTable<AddScaledFunction> kAddScaled = FLYWEIGHT_ISA_TABLE(AddScaled);
constexpr IsaTable<WeighRowFunction> kWeighRow = FLYWEIGHT_ISA_TABLE(WeighRow);

}  // namespace

RowDistances MeasureRow(FloatLayout layout, const void* predicted, const void* words, size_t count, float* distances,
                        float* units) {
  const size_t number = static_cast<size_t>(layout) - static_cast<size_t>(FloatLayout::kBF16);
  return kMeasureRow[number].Pick()(predicted, words, count, distances, units);
}

void AddScaled(const float* values, size_t count, float factor, float* totals) {
  kAddScaled.Pick()(values, count, factor, totals);
}

WeighedSums WeighRow(const WeighRowArgs& args) { return kWeighRow.Pick()(args); }

int QuarterOctaves(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // Mantissas of 2^(1/8), 2^(3/8), 2^(5/8), 2^(7/8).
  constexpr uint32_t kBounds[] = {0x0B95C2, 0x25FED7, 0x45672A, 0x6AC0C7};
  const uint32_t mantissa = bits & 0x7FFFFF;
  int quarters = 0;
  for (uint32_t bound : kBounds) quarters += mantissa >= bound;
  return 4 * (static_cast<int>(bits >> 23) - 127) + quarters;
}

}  // namespace flyweight
