#include "transform/recentre/recentre.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "simd/isa.h"
#include "transform/float_fields/float_kernels.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::SumHeads16)> kSumHeads16 = FLYWEIGHT_ISA_TABLE(SumHeads16);
constexpr IsaTable<decltype(&scalar::SumHeads8)> kSumHeads8 = FLYWEIGHT_ISA_TABLE(SumHeads8);
constexpr IsaTable<decltype(&scalar::AddHeads16)> kAddHeads16 = FLYWEIGHT_ISA_TABLE(AddHeads16);
constexpr IsaTable<decltype(&scalar::AddHeads8)> kAddHeads8 = FLYWEIGHT_ISA_TABLE(AddHeads8);

constexpr IsaTable<decltype(&scalar::AddShift)> kAddShift = FLYWEIGHT_ISA_TABLE(AddShift);

constexpr float kSquareRootOf2 = 1.41421356F;
constexpr int kLargestShift = 120;

}  // namespace

float MeanMagnitude(const std::byte* heads, size_t head_bytes, size_t count) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(heads);
  float sum = head_bytes == 2 ? kSumHeads16.Pick()(bytes, count) : kSumHeads8.Pick()(bytes, count);
  return sum / static_cast<float>(count);
}

void AddMagnitudes(const std::byte* heads, size_t head_bytes, size_t count, float* sums) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(heads);
  head_bytes == 2 ? kAddHeads16.Pick()(bytes, count, sums) : kAddHeads8.Pick()(bytes, count, sums);
}

float PositiveMedian(std::vector<float>& values) {
  auto end = std::remove_if(values.begin(), values.end(), [](float v) { return !(v > 0 && std::isfinite(v)); });
  if (end == values.begin()) return 0;
  auto middle = values.begin() + (end - values.begin()) / 2;
  std::nth_element(values.begin(), middle, end);
  return *middle;
}

int8_t ShiftOf(float mean, float reference) {
  if (!(mean > 0) || !(reference > 0)) return 0;
  float ratio = mean / reference * kSquareRootOf2;
  if (!std::isnormal(ratio)) return 0;
  int exponent = static_cast<int>(std::bit_cast<uint32_t>(ratio) >> 23) - 127;
  return static_cast<int8_t>(std::clamp(exponent, -kLargestShift, kLargestShift));
}

void ShiftField::Expand(uint64_t begin, size_t count, uint8_t* target) const {
  auto add_shift = kAddShift.Pick();
  uint64_t row = (first_word + begin) / column_count - first_word / column_count;
  uint64_t column = (first_word + begin) % column_count;
  for (size_t done = 0; done < count;) {
    size_t run = static_cast<size_t>(std::min<uint64_t>(column_count - column, count - done));
    uint8_t row_shift = rows != nullptr ? static_cast<uint8_t>(rows[row]) : uint8_t{0};
    if (columns == nullptr) {
      std::memset(target + done, row_shift, run);
    } else {
      add_shift(reinterpret_cast<const uint8_t*>(columns) + column, run, row_shift, target + done);
    }
    done += run;
    column = 0;
    ++row;
  }
}

uint8_t ShiftField::At(uint64_t word) const {
  if (empty()) return 0;
  uint64_t row = (first_word + word) / column_count - first_word / column_count;
  uint64_t column = (first_word + word) % column_count;
  int shift = (rows != nullptr ? rows[row] : 0) + (columns != nullptr ? columns[column] : 0);
  return static_cast<uint8_t>(shift);
}

uint64_t RowsTouched(uint64_t column_count, uint64_t first_word, uint64_t count) {
  return (first_word + count - 1) / column_count - first_word / column_count + 1;
}

}  // namespace flyweight
