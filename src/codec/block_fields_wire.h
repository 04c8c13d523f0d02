#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "transform/block_fields/block_layout.h"
#include "transform/block_fields/centre.h"
#include "transform/block_fields/range_scales.h"
#include "transform/block_fields/unit_classes.h"

// What encoder and decoder of block fields share.

namespace flyweight {

inline constexpr uint8_t kBlocksCentred = 1;
inline constexpr uint8_t kBlocksMaxima = 2;
inline constexpr uint8_t kBlocksClasses = 4;

/// A chunk is whole blocks between what is left of a block at its start and at its end.
struct BlockGeometry {
  size_t head_bytes = 0;
  size_t block_count = 0;
  size_t tail_bytes = 0;
};

inline BlockGeometry GeometryOf(const BlockLayout& layout, uint64_t chunk_offset, size_t chunk_bytes) {
  auto phase = static_cast<size_t>(chunk_offset % layout.block_bytes);
  size_t head_bytes = std::min(phase == 0 ? 0 : layout.block_bytes - phase, chunk_bytes);
  size_t rest = chunk_bytes - head_bytes;
  return {head_bytes, rest / layout.block_bytes, rest % layout.block_bytes};
}

/// The streams of a chunk, one behind the other.
struct BlockStreams {
  const BlockLayout& layout;
  size_t block_count;
  std::array<std::byte*, kMaxBlockStreams> at{};

  BlockStreams(const BlockLayout& block_layout, size_t count, std::byte* memory)
      : layout(block_layout), block_count(count) {
    for (size_t s = 0; s < this->count(); ++s) {
      at[s] = memory;
      memory += bytes(s);
    }
  }

  size_t count() const { return layout.stream_bytes.size(); }
  size_t quants() const { return count() - 1; }
  size_t bytes(size_t s) const { return layout.stream_bytes[s] * block_count; }

  ScaleStreams scales() const {
    ScaleStreams scales{};
    for (size_t s = 0; s < std::min(scales.size(), quants()); ++s) scales[s] = at[s];
    return scales;
  }
  ScaleBytes scale_bytes() const {
    bool minimum = layout.range.has_minimum;
    return {at[kScaleStream], at[kScaleStream + 1], minimum ? at[kMinimumStream] : nullptr,
            minimum ? at[kMinimumStream + 1] : nullptr};
  }
  size_t unit_count() const { return block_count * layout.unit.units; }
  void RateUnits(int32_t* ratings) const {
    flyweight::RateUnits(at[0], layout.unit.half ? at[1] : nullptr, unit_count(), ratings);
  }
};

}  // namespace flyweight
