#pragma once

#include <vector>

#include "archive/prefix.h"
#include "codec/record.h"
#include "pipeline/extent_items.h"

namespace flyweight {

/// Frames that an interrupted run left, taken again where they decode to exactly the chunk that is wanted: nothing that
/// a stale or damaged partial archive holds can do harm.
class FrameReuse {
 public:
  /// `previous` may be null; then nothing is ever taken. It must outlive this.
  FrameReuse(const ArchivePrefix* previous, const ArchiveIndex& index, const std::vector<ExtentItem>& items);

  bool has_frames() const { return previous_ != nullptr; }

  /// Fills `frame` with the frame of chunk `chunk_index` of item `item`, and `entry`, and returns true; or returns
  /// false. `head` is the parsed head of `plan`, `base_chunk` what a patch is made from. Preconditions: frame.size() >=
  /// FrameBound(chunk.size()) + kDecodePaddingBytes; decoded.size() >= chunk.size(). Thread-safe with a scratch a
  /// thread.
  bool Take(uint64_t item, const RecordPlan& plan, const RecordHead& head, uint64_t chunk_index, ByteSpan chunk,
            ByteSpan base_chunk, MutableByteSpan frame, MutableByteSpan decoded, ChunkEntry& entry,
            CodecScratch& scratch) const;

 private:
  const ArchivePrefix* previous_ = nullptr;
  std::vector<uint32_t> record_numbers_;  ///< by item: how many records stand before its own
};

}  // namespace flyweight
