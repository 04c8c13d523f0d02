#pragma once

#include <cstddef>

namespace flyweight {

/// Replaces elements, read as unsigned integers, by what each is more or less than the one before it (the first: than
/// 0), modulo the element's width: 2d for d >= 0, -2d - 1 below, so that small steps have zero high bytes. Elements of
/// 2, 4 or 8 bytes. Shapes: count * element_bytes; no overlap.
void TakeDifferences(const std::byte* elements, size_t count, size_t element_bytes, std::byte* differences);

/// The inverse, in place.
void AddDifferences(std::byte* differences, size_t count, size_t element_bytes);

/// Whether a sample's differences have so few bits that coding them is worth a try.
bool LooksSmooth(const std::byte* elements, size_t count, size_t element_bytes);

}  // namespace flyweight
