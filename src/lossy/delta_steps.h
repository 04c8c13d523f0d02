#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

// Differences to a base as whole numbers of steps (docs/format.md section 3.6.3).

/// Contexts of the numbers of a matrix: half octaves of what row and column let expect.
inline constexpr size_t kDeltaContexts = 20;
/// The expectation in quarter octaves, biased, at which numbers begin to have low bits, and its highest value.
inline constexpr int kDeltaBias = 24;
inline constexpr int kDeltaDirect = 2 * static_cast<int>(kDeltaContexts);
inline constexpr int kDeltaHighest = 103;
inline constexpr int kDeltaMostLowBits = 16;
/// The symbol of an element that is stored exactly.
inline constexpr uint8_t kDeltaExact = 255;

/// True for types that a lossy patch takes: F32, F16 and BF16.
bool CanBeLossyDelta(DType dtype);

/// Contexts and counts of low bits of a run of elements of one row: quarter octaves of the row and of its columns
/// (null: zeros) add up. Shapes: `count` each.
void ExpandDeltaContexts(const int8_t* columns, int row, size_t count, uint8_t* contexts, uint8_t* low_bits);

/// Makes elements, which hold the base, what they are `numbers` steps on: F32(base + F32(number * step)), rounded to
/// the dtype; where the number is 0 the base's bits stay. Each operation rounds on its own. Preconditions:
/// CanBeLossyDelta(dtype); magnitudes of numbers at most 2^24.
void AddDeltaSteps(DType dtype, const int32_t* numbers, size_t count, float step, std::byte* elements);

/// Elements as F32, all at once. Preconditions: CanBeLossyDelta(dtype); `values` has room.
void LoadDeltaValues(DType dtype, const std::byte* elements, size_t count, float* values);

}  // namespace flyweight
