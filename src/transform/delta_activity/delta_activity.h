#pragma once

#include <cstddef>
#include <cstdint>

#include "transform/delta_activity/activity_kernels.h"
#include "transform/float_fields/float_fields.h"

namespace flyweight {

// Measures how far words are from their prediction, by row and by column, for the contexts of dense deltas
// (docs/format.md section 3.14.3). For encoders only. Sums have one order on every ISA.

/// One row's distances to the prediction: |value - predicted value| of each word, and the distance of the
/// prediction to the next word. Both have room for `count`.
RowDistances MeasureRow(FloatLayout layout, const void* predicted, const void* words, size_t count, float* distances,
                        float* units);

/// totals[j] += values[j] * factor.
void AddScaled(const float* values, size_t count, float factor, float* totals);

/// Weighs distances by what is known of them: that of a word whose unit is far over what is expected says little. Adds
/// to the sums by column and returns those of the row.
WeighedSums WeighRow(const WeighRowArgs& args);

/// Four times the binary logarithm, rounded to the nearest. Precondition: a positive normal number.
int QuarterOctaves(float value);

}  // namespace flyweight
