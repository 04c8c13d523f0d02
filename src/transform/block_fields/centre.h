#pragma once

#include "transform/block_fields/block_layout.h"

namespace flyweight {

/// Quants of types with minima, counted from the quant that zero falls on, so that blocks whose range lies differently
/// around zero have quants of one distribution (docs/format.md section 3.11.2). The arithmetic is exact.

/// The streams that say where zero falls, those of kScaleStream to kSubMinimumStream; the last two may be null for
/// types that have one scale a block.
using ScaleStreams = std::array<const std::byte*, 6>;

/// Replaces the quants of `block_count` blocks, in place, by `(quant - zero + 2^(bits - 1)) mod 2^bits`. Precondition:
/// layout.centre.bits != 0.
void CentreQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants);

/// The inverse.
void RestoreQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants);

}  // namespace flyweight
