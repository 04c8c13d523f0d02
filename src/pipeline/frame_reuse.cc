#include "pipeline/frame_reuse.h"

#include <cstring>

#include "codec/patch_record.h"

namespace flyweight {

FrameReuse::FrameReuse(const ArchivePrefix* previous, const ArchiveIndex& index, const std::vector<ExtentItem>& items) {
  if (previous == nullptr || previous->records().empty()) return;
  previous_ = previous;
  record_numbers_.reserve(items.size());
  uint32_t record_count = 0;
  for (const ExtentItem& item : items) {
    record_numbers_.push_back(record_count);
    record_count += index.files[item.file].extents[item.extent].has_record();
  }
}

bool FrameReuse::Take(uint64_t item, const RecordPlan& plan, const RecordHead& head, uint64_t chunk_index,
                      ByteSpan chunk, ByteSpan base_chunk, MutableByteSpan frame, MutableByteSpan decoded,
                      ChunkEntry& entry, CodecScratch& scratch) const {
  if (previous_ == nullptr) return false;
  uint64_t record = record_numbers_[item];
  if (previous_->Match(record, plan.head_bytes) == nullptr) return false;
  Result<ArchivePrefix::Frame> read = previous_->ReadFrame(record, chunk_index, frame);
  if (!read.ok()) return false;
  entry = read.value().entry;
  MutableByteSpan target = decoded.first(chunk.size());
  Status status =
      DecodePatchFrame(head, chunk_index, read.value().bytes, frame.size(), entry, base_chunk, target, scratch);
  return status.ok() && std::memcmp(target.data(), chunk.data(), chunk.size()) == 0;
}

}  // namespace flyweight
