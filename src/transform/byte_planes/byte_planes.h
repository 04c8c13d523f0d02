#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

/// Splits `count` elements of `width` bytes (1, 2, 4 or 8, little-endian) into `width` planes: planes[p * count + i] is
/// byte p of element i. With `rotate` each element is first rotated left by one bit, so that a float's exponent fills
/// the last plane. Shapes: source and planes hold count * width bytes; no overlap. Cannot fail. Source: byte grouping,
/// ZipNN (arXiv:2411.05239). Example: width 2, "12345678" -> "13572468".
void SplitPlanes(const std::byte* source, size_t count, size_t width, bool rotate, std::byte* planes);

/// The inverse; the planes may lie anywhere. Shapes: planes[p] holds count bytes, target count * width.
void MergePlanes(const std::byte* const* planes, size_t count, size_t width, bool rotate, std::byte* target);

}  // namespace flyweight
