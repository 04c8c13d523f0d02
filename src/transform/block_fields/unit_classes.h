#pragma once

#include <span>

#include "transform/block_fields/block_layout.h"

namespace flyweight {

/// Units of quants sorted into classes by how their scale stands among its neighbours (docs/format.md section 3.11.4):
/// where it stands out, one large weight made it so, and the other quants are small.

inline constexpr size_t kMaxUnitClasses = 4;

/// How far each unit's scale stands over the mean of itself and its kUnitNeighbours on either side, times their count.
/// `low` and `high` are the bytes of F16 scales, or `low` byte scales and `high` null. Beyond the ends the first and
/// the last unit are repeated. Precondition: unit_count > 0.
void RateUnits(const std::byte* low, const std::byte* high, size_t unit_count, int32_t* ratings);

inline constexpr size_t kUnitNeighbours = 8;

/// The class of a rating: how many of the (ascending) thresholds it reaches.
inline size_t ClassOf(int32_t rating, std::span<const int32_t> thresholds) {
  size_t unit_class = 0;
  for (int32_t threshold : thresholds) unit_class += rating >= threshold;
  return unit_class;
}

/// Copies units of `unit_bytes` to where their class stands: `targets[c]` is advanced past each unit of class c.
void SortUnits(const std::byte* units, size_t unit_bytes, std::span<const int32_t> ratings,
               std::span<const int32_t> thresholds, std::byte** targets);

/// The inverse.
void UnsortUnits(const std::byte** sources, size_t unit_bytes, std::span<const int32_t> ratings,
                 std::span<const int32_t> thresholds, std::byte* units);

}  // namespace flyweight
