#include <algorithm>
#include <string>

#include "archive/range_reader.h"
#include "archive/wire.h"

namespace flyweight {

Status RangeReader::ReadBase(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) {
  if (reader_->base() == nullptr) return MissingBase(*reader_->base_table());
  return reader_->base()->Read(row, begin, target, scratch);
}

Status RangeReader::DecodeWhole(const IndexExtent& holder, const OpenRecord& record, uint64_t chunk,
                                MutableByteSpan target, CodecScratch& scratch) {
  if (holder.place == PlaceKind::kPatched) return DecodePatched(holder, chunk, target, scratch);
  return reader_->DecodeChunk(record, chunk, target, scratch, stored_check_);
}

Status RangeReader::DecodePatched(const IndexExtent& extent, uint64_t chunk, MutableByteSpan target,
                                  CodecScratch& scratch) {
  FLYWEIGHT_TRY(FollowPatches(extent, chunk));
  PlaceLinks(target);
  FLYWEIGHT_TRY(ReadUnderPatches(links_.back(), scratch));
  for (size_t i = links_.size(); i-- > 0;) {
    const PatchLink& link = links_[i];
    FLYWEIGHT_TRY(reader_->DecodePatchChunk(*link.record, link.chunk, link.base, link.target, scratch, stored_check_));
  }
  return Status::Ok();
}

/// Finds the patches that a chunk is decoded through, from the last one made to the first.
Status RangeReader::FollowPatches(const IndexExtent& extent, uint64_t chunk) {
  links_.clear();
  record_max_count_ = std::max(record_max_count_, std::min<size_t>(kPatchRecordMaxCount, extent.patch_depth + 2));
  for (const IndexExtent* next = &extent; next != nullptr;) {
    if (links_.size() >= wire::kPatchDepthMax) {
      return Error{ErrorCode::kLimitExceeded, next->record_offset, "too many patches stand on each other"};
    }
    FLYWEIGHT_ASSIGN(std::shared_ptr<const OpenRecord> record, OpenRecordOf(*next, Lossy::kTake));
    if (!links_.empty()) {
      // The base has its chunks at the same elements, so the range lies in one of them.
      const BaseRange& range = links_.back().range;
      chunk = range.begin_bytes / record->head.chunk_bytes;
      uint64_t skip = range.begin_bytes - chunk * record->head.chunk_bytes;
      if (skip + range.size_bytes > record->head.ChunkDecodedBytes(chunk)) {
        return Error{ErrorCode::kCorrupt, next->record_offset, "a patch and its base are not cut into the same chunks"};
      }
    }
    links_.push_back({next, record, chunk, BaseRangeOf(record->head, chunk), {}, {}});
    bool is_end = next->base_is_outside || links_.back().range.size_bytes == 0;
    const IndexExtent* base = is_end ? nullptr : &reader_->ExtentAt(next->base_number);
    next = base != nullptr && base->place == PlaceKind::kPatched ? base : nullptr;
  }
  return Status::Ok();
}

/// Gives each link its memory: that of the link before where the chunk of one is the base of the other and as long,
/// else one of two buffers in turn.
void RangeReader::PlaceLinks(MutableByteSpan target) {
  size_t largest = 0;
  for (const PatchLink& link : links_) {
    auto whole = static_cast<size_t>(link.record->head.ChunkDecodedBytes(link.chunk));
    largest = std::max({largest, whole, static_cast<size_t>(link.range.size_bytes)});
  }
  size_t turn = 0;
  for (size_t i = 0; i < links_.size(); ++i) {
    PatchLink& link = links_[i];
    link.target = target;
    auto base_bytes = static_cast<size_t>(link.range.size_bytes);
    uint64_t below_bytes = base_bytes;  // of the whole chunk that the base's range lies in
    uint64_t skip = 0;
    if (i + 1 < links_.size()) {
      const PatchLink& below = links_[i + 1];
      below_bytes = below.record->head.ChunkDecodedBytes(below.chunk);
      skip = link.range.begin_bytes - below.chunk * below.record->head.chunk_bytes;
    }
    bool is_in_place = base_bytes == link.target.size() && below_bytes == base_bytes;
    if (!is_in_place) {
      AlignedBuffer& buffer = between_[turn];
      turn = 1 - turn;
      if (buffer.size() < largest) buffer.Resize(largest);
      target = {buffer.data(), static_cast<size_t>(below_bytes)};
    }
    link.base = target.subspan(static_cast<size_t>(skip), base_bytes);
  }
}

Status RangeReader::ReadUnderPatches(const PatchLink& last, CodecScratch& scratch) {
  if (last.range.size_bytes == 0) return Status::Ok();
  const IndexExtent& extent = *last.extent;
  if (extent.base_is_outside) return ReadBase(extent.base_number, last.range.begin_bytes, last.base, scratch);
  return Read(reader_->ExtentAt(extent.base_number), last.range.begin_bytes, last.base, scratch);
}

}  // namespace flyweight
