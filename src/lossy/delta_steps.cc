#include "lossy/delta_steps.h"

#include <algorithm>
#include <cstring>

#include "lossy/quantise.h"
#include "lossy/strips.h"

namespace flyweight {
namespace {

template <typename Word>
void KeepWhereZero(const int32_t* __restrict numbers, size_t count, const std::byte* __restrict moved,
                   std::byte* __restrict elements) {
  for (size_t i = 0; i < count; ++i) {
    Word before = LoadLe<Word>(elements + i * sizeof(Word)), after = LoadLe<Word>(moved + i * sizeof(Word));
    StoreLe(elements + i * sizeof(Word), numbers[i] == 0 ? before : after);
  }
}

void AddStrip(DType dtype, const int32_t* numbers, size_t count, float step, std::byte* elements) {
  alignas(64) float values[kLossyStrip];
  alignas(64) std::byte moved[kLossyStrip * sizeof(float)];
  LoadStrip(dtype, elements, count, values);
  for (size_t i = 0; i < count; ++i) {
    float way = static_cast<float>(numbers[i]) * step;
    values[i] = values[i] + way;
  }
  StoreStrip(dtype, values, count, moved);
  if (dtype == DType::kF32) return KeepWhereZero<uint32_t>(numbers, count, moved, elements);
  KeepWhereZero<uint16_t>(numbers, count, moved, elements);
}

}  // namespace

bool CanBeLossyDelta(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

void ExpandDeltaContexts(const int8_t* columns, int row, size_t count, uint8_t* contexts, uint8_t* low_bits) {
  const auto biased = static_cast<int16_t>(row + kDeltaBias);
  for (size_t i = 0; i < count; ++i) {
    auto level = static_cast<int16_t>(biased + (columns == nullptr ? 0 : columns[i]));
    level = std::clamp<int16_t>(level, 0, kDeltaHighest);
    auto low = static_cast<int16_t>(level < kDeltaDirect ? 0 : (level - (kDeltaDirect - 4)) >> 2);
    low_bits[i] = static_cast<uint8_t>(low);
    contexts[i] = static_cast<uint8_t>((level - 4 * low) >> 1);
  }
}

void AddDeltaSteps(DType dtype, const int32_t* numbers, size_t count, float step, std::byte* elements) {
  const size_t element_bytes = LossyElementBytes(dtype);
  for (size_t begin = 0; begin < count; begin += kLossyStrip) {
    AddStrip(dtype, numbers + begin, std::min(kLossyStrip, count - begin), step, elements + begin * element_bytes);
  }
}

void LoadDeltaValues(DType dtype, const std::byte* elements, size_t count, float* values) {
  LoadStrip(dtype, elements, count, values);
}

}  // namespace flyweight
