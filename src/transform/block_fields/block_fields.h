#pragma once

#include "transform/block_fields/block_layout.h"

namespace flyweight {

/// Cuts blocks into streams: stream s has `block_count * layout.stream_bytes[s]` bytes, block after block, and stands
/// at `streams` behind those before it. Precondition: both have the bytes of `block_count` blocks; no overlap.
void SplitBlocks(const BlockLayout& layout, const std::byte* blocks, size_t block_count, std::byte* streams);

/// The inverse; the streams may lie anywhere. Whatever the streams hold, the blocks are defined: bits of a stream that
/// no move takes are left out.
void MergeBlocks(const BlockLayout& layout, const std::byte* const* streams, size_t block_count, std::byte* blocks);

}  // namespace flyweight
