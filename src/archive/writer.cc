#include "archive/writer.h"

#include <algorithm>
#include <string>

#include "archive/header.h"
#include "archive/index.h"
#include "archive/section.h"
#include "archive/wire.h"

namespace flyweight {
namespace {

Error Misuse(const std::string& what) { return {ErrorCode::kInvalidArgument, 0, "archive writer: " + what}; }

/// Every record that the index names must be one of those written.
Status CheckPlaces(const ArchiveIndex& index, const std::vector<ArchiveWriter::RecordPlace>& places) {
  for (const IndexFile& file : index.files) {
    for (const IndexExtent& extent : file.extents) {
      if (extent.place != PlaceKind::kRecord) continue;
      auto before = [](const ArchiveWriter::RecordPlace& place, uint64_t offset) { return place.offset < offset; };
      auto place = std::lower_bound(places.begin(), places.end(), extent.record_offset, before);
      if (place == places.end() || place->offset != extent.record_offset ||
          place->record_bytes != extent.record_bytes || place->record_check != extent.record_check) {
        return Misuse("the index names a record at " + std::to_string(extent.record_offset) + " that was not written");
      }
    }
  }
  return Status::Ok();
}

}  // namespace

Status ArchiveWriter::Append(ByteSpan bytes) {
  FLYWEIGHT_TRY(sink_.Append(bytes));
  position_ += bytes.size();
  return Status::Ok();
}

Status ArchiveWriter::Begin() {
  if (position_ != 0) return Misuse("Begin comes first and once");
  return Append(WriteHeader(ArchiveHeader{}));
}

Status ArchiveWriter::BeginRecord(const RecordPlan& plan) {
  if (position_ == 0 || record_open_) return Misuse("a record begins after Begin or after the end of another");
  record_open_ = true;
  record_offset_ = position_;
  record_head_ = plan.head_bytes;
  record_table_.clear();
  record_chunk_count_ = plan.head.chunk_count;
  return Append(record_head_);
}

Status ArchiveWriter::AppendFrame(ByteSpan frame, const ChunkEntry& entry) {
  if (!record_open_ || record_table_.size() >= record_chunk_count_)
    return Misuse("a frame more than the record has chunks");
  if (frame.size() != entry.frame_bytes) return Misuse("a frame is not as long as its table entry says");
  record_table_.push_back(entry);
  return Append(frame);
}

Result<ArchiveWriter::RecordPlace> ArchiveWriter::EndRecord() {
  if (!record_open_ || record_table_.size() != record_chunk_count_)
    return Misuse("a record ends after the last of its chunks");
  record_open_ = false;
  std::vector<std::byte> table = WriteChunkTable(record_table_);
  FLYWEIGHT_TRY(Append(table));
  RecordPlace place{record_offset_, position_ - record_offset_, RecordCheck(record_head_, table)};
  places_.push_back(place);
  return place;
}

Status ArchiveWriter::Finish(const ArchiveIndex& index) {
  if (position_ == 0 || record_open_) return Misuse("Finish comes after Begin and after the end of the last record");
  Status valid = ValidateIndex(index, position_);
  if (!valid.ok()) return Misuse(valid.error().message);
  FLYWEIGHT_TRY(CheckPlaces(index, places_));
  FLYWEIGHT_ASSIGN(auto section, WriteSection(wire::kSectionKindIndex, SerializeIndex(index)));

  ArchiveFooter footer;
  footer.first_index_offset = position_;
  footer.second_index_offset = position_ + section.size();
  footer.index_section_bytes = section.size();
  footer.archive_bytes = position_ + 2 * section.size() + wire::kFooterBytes;
  FLYWEIGHT_TRY(Append(section));
  FLYWEIGHT_TRY(Append(section));
  return Append(WriteFooter(footer));
}

}  // namespace flyweight
