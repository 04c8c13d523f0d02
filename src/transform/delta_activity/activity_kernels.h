#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.h"

namespace flyweight {

// Compiled for several instruction sets, so no inline functions here.

struct RowDistances {
  float sum = 0;
  bool differs = false;           ///< whether any word is not as predicted, bit for bit
  uint32_t largest_exponent = 0;  ///< field of the predictions' words
};
using MeasureRowFunction = RowDistances (*)(const void* predicted, const void* words, size_t count, float* distances,
                                            float* units);
using AddScaledFunction = void (*)(const float* values, size_t count, float factor, float* totals);

struct WeighRowArgs {
  const float* distances;
  const float* units;
  const float* columns;  ///< relative activity of each
  size_t count;
  float row;              ///< what is expected where a column has activity 1
  float* column_sums;     ///< of weighed distances
  float* column_weights;  ///< of weighed expectations
};
struct WeighedSums {
  float distance = 0;
  float expected = 0;
};
using WeighRowFunction = WeighedSums (*)(const WeighRowArgs& args);

#define FLYWEIGHT_DECLARE_ACTIVITY_KERNELS(isa)                                                                        \
  namespace isa {                                                                                                      \
  RowDistances MeasureRowBF16(const void* predicted, const void* words, size_t count, float* distances, float* units); \
  RowDistances MeasureRowF16(const void* predicted, const void* words, size_t count, float* distances, float* units);  \
  RowDistances MeasureRowF32(const void* predicted, const void* words, size_t count, float* distances, float* units);  \
  void AddScaled(const float* values, size_t count, float factor, float* totals);                                      \
  WeighedSums WeighRow(const WeighRowArgs& args);                                                                      \
  }
FLYWEIGHT_DECLARE_ACTIVITY_KERNELS(scalar)
FLYWEIGHT_DECLARE_ACTIVITY_KERNELS(avx2)
FLYWEIGHT_DECLARE_ACTIVITY_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_ACTIVITY_KERNELS

}  // namespace flyweight
