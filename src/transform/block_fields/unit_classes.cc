#include "transform/block_fields/unit_classes.h"

#include <algorithm>
#include <cstring>

namespace flyweight {
namespace {

constexpr auto kWindow = static_cast<int32_t>(2 * kUnitNeighbours + 1);

struct Scales {
  const std::byte* low;
  const std::byte* high;
  size_t count;

  // F16 without its sign grows with the magnitude, much like its logarithm.
  int32_t At(size_t i) const {
    if (high == nullptr) return std::to_integer<int32_t>(low[i]);
    return std::to_integer<int32_t>(low[i]) | (std::to_integer<int32_t>(high[i]) & 127) << 8;
  }
  int32_t Near(size_t i, ptrdiff_t off) const {
    return At(static_cast<size_t>(
        std::clamp<ptrdiff_t>(static_cast<ptrdiff_t>(i) + off, 0, static_cast<ptrdiff_t>(count) - 1)));
  }
};

}  // namespace

void RateUnits(const std::byte* low, const std::byte* high, size_t unit_count, int32_t* ratings) {
  constexpr auto kReach = static_cast<ptrdiff_t>(kUnitNeighbours);
  const Scales scales{low, high, unit_count};
  int32_t sum = 0;
  for (ptrdiff_t off = -kReach; off <= kReach; ++off) sum += scales.Near(0, off);
  for (size_t i = 0; i < unit_count; ++i) {
    ratings[i] = scales.At(i) * kWindow - sum;
    sum += scales.Near(i, kReach + 1) - scales.Near(i, -kReach);
  }
}

void SortUnits(const std::byte* units, size_t unit_bytes, std::span<const int32_t> ratings,
               std::span<const int32_t> thresholds, std::byte** targets) {
  for (size_t i = 0; i < ratings.size(); ++i) {
    std::byte*& target = targets[ClassOf(ratings[i], thresholds)];
    std::memcpy(target, units + i * unit_bytes, unit_bytes);
    target += unit_bytes;
  }
}

void UnsortUnits(const std::byte** sources, size_t unit_bytes, std::span<const int32_t> ratings,
                 std::span<const int32_t> thresholds, std::byte* units) {
  for (size_t i = 0; i < ratings.size(); ++i) {
    const std::byte*& source = sources[ClassOf(ratings[i], thresholds)];
    std::memcpy(units + i * unit_bytes, source, unit_bytes);
    source += unit_bytes;
  }
}

}  // namespace flyweight
