#include "archive/writer.h"

#include <algorithm>
#include <string>

#include "archive/header.h"
#include "archive/index.h"
#include "archive/index_shared.h"
#include "archive/parity_encode.h"
#include "archive/parity_layout.h"
#include "archive/parity_wire.h"
#include "archive/pieced_source.h"
#include "archive/section.h"
#include "archive/wire.h"

namespace flyweight {
namespace {

Error Misuse(const std::string& what) { return {ErrorCode::kInvalidArgument, 0, "archive writer: " + what}; }

/// Every record that the index names must be one of those written.
Status CheckPlaces(const ArchiveIndex& index, const std::vector<ArchiveWriter::RecordPlace>& places) {
  for (const IndexFile& file : index.files) {
    for (const IndexExtent& extent : file.extents) {
      if (!extent.has_record()) continue;
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

Status ArchiveWriter::Begin(const ArchiveHeader& header) {
  if (position_ != 0) return Misuse("Begin comes first and once");
  header_ = header;
  return Append(WriteHeader(header));
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

Status ArchiveWriter::FinishWithParity(ByteSpan section, const RecoveryOptions& recovery) {
  if (recovery.pool == nullptr || !recovery.read_back) return Misuse("parity needs a pool and a source to read back");
  uint64_t first_bytes = position_ + section.size();
  FLYWEIGHT_ASSIGN(ParityLayout layout,
                   PlanParity(first_bytes, section.size() + wire::kFooterBytes, recovery.permille));
  FooterBytes footer = WriteFooter({.header = header_,
                                    .first_index_offset = position_,
                                    .second_index_offset = layout.second_offset,
                                    .index_section_bytes = section.size(),
                                    .archive_bytes = layout.archive_bytes});
  FLYWEIGHT_TRY(Append(section));
  FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> written, recovery.read_back());
  if (written == nullptr || written->size() < first_bytes) return Misuse("what was written cannot be read back whole");

  ZeroSource no_area(layout.area_bytes());
  MemorySource second_index(section);
  MemorySource footer_source(footer);
  PiecedSource archive;
  archive.Add(*written, 0, first_bytes);
  archive.Add(no_area, 0, no_area.size());
  archive.Add(second_index, 0, section.size());
  archive.Add(footer_source, 0, footer.size());
  FLYWEIGHT_TRY(AppendParityArea(layout, archive, *recovery.pool, recovery.scratch_directory, sink_));
  position_ = layout.second_offset;
  FLYWEIGHT_TRY(Append(section));
  return Append(footer);
}

Result<std::vector<std::byte>> ArchiveWriter::MakeIndexSection(const ArchiveIndex& index) {
  std::vector<std::byte> body = SerializeIndex(index);
  index_hash_ = Xxh3(body);
  return WriteSection(wire::kSectionKindIndex, body);
}

Status ArchiveWriter::Finish(const ArchiveIndex& index, const RecoveryOptions& recovery) {
  if (position_ == 0 || record_open_) return Misuse("Finish comes after Begin and after the end of the last record");
  if (index.is_tree != ((header_.required_features & wire::kFeatureTree) != 0)) {
    return Misuse("header and index disagree on whether this is a tree");
  }
  if (HasSharedPlaces(index) != ((header_.required_features & wire::kFeatureShared) != 0)) {
    return Misuse("header and index disagree on whether extents are made of others");
  }
  if ((recovery.permille != 0) != ((header_.optional_features & wire::kOptionalParity) != 0)) {
    return Misuse("the header and Finish disagree on whether there is parity");
  }
  Status valid = ValidateIndex(index, position_);
  if (!valid.ok()) return Misuse(valid.error().message);
  FLYWEIGHT_TRY(CheckPlaces(index, places_));
  FLYWEIGHT_ASSIGN(std::vector<std::byte> section, MakeIndexSection(index));
  if (recovery.permille != 0) return FinishWithParity(section, recovery);

  ArchiveFooter footer;
  footer.header = header_;
  footer.first_index_offset = position_;
  footer.second_index_offset = position_ + section.size();
  footer.index_section_bytes = section.size();
  footer.archive_bytes = position_ + 2 * section.size() + wire::kFooterBytes;
  FLYWEIGHT_TRY(Append(section));
  FLYWEIGHT_TRY(Append(section));
  return Append(WriteFooter(footer));
}

}  // namespace flyweight
