#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "flyweight/tensor.h"

namespace flyweight {

/// How a float's word is cut into a head (sign, exponent, top mantissa bits) and low planes (docs/format.md
/// section 3.5.1). Numbers are frozen.
enum class FloatLayout : uint8_t { kBF16 = 1, kF16 = 2, kF32 = 3 };

struct FloatLayoutInfo {
  size_t word_bytes;
  size_t head_bytes;
  size_t low_plane_count;
  int exponent_shift;  ///< of the exponent in the word
  uint32_t exponent_mask;
};

const FloatLayoutInfo& Describe(FloatLayout layout);

/// The layout of a dtype's words, if it has one.
std::optional<FloatLayout> LayoutOf(DType dtype);

/// Cuts `count` words into heads and low planes. Shapes: heads count * head_bytes; low plane p at low + p * low_stride,
/// count bytes each, the most significant first. No overlap.
void SplitFloats(FloatLayout layout, const std::byte* words, size_t count, std::byte* heads, std::byte* low,
                 size_t low_stride);

/// The inverse. `low[p]` points to plane p.
void MergeFloats(FloatLayout layout, const std::byte* heads, const std::byte* const* low, size_t count,
                 std::byte* words);

}  // namespace flyweight
