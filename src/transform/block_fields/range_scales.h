#pragma once

#include "transform/block_fields/block_layout.h"

namespace flyweight {

/// Weights that were BF16 before they were quantised have scales that follow from a BF16 maximum (and the minimum,
/// which the block stores): eight bits where the F16 scale seems to have eleven (docs/format.md section 3.11.3).
/// Arithmetic is that of IEEE 754 in F32, each operation rounded on its own.

/// The bytes of the F16 scales, and of the F16 minima where layout.range.has_minimum.
struct ScaleBytes {
  std::byte* low = nullptr;
  std::byte* high = nullptr;
  const std::byte* minimum_low = nullptr;
  const std::byte* minimum_high = nullptr;
};

/// Replaces scales, in place, by the maxima they follow from: the low and the high byte of the BF16 word rotated left
/// by one bit. Returns false, with the scales as they were, where a scale follows from none. Precondition:
/// layout.range.steps != 0.
bool ScalesToMaxima(const BlockLayout& layout, size_t block_count, const ScaleBytes& bytes);

/// The inverse, defined for whatever the bytes are.
void MaximaToScales(const BlockLayout& layout, size_t block_count, const ScaleBytes& bytes);

}  // namespace flyweight
