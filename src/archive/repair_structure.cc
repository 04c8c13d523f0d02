#include <algorithm>
#include <map>
#include <string>

#include "archive/parity_encode.h"
#include "archive/parity_wire.h"
#include "archive/repair_parts.h"
#include "archive/repair_records.h"
#include "archive/repair_skeleton.h"
#include "archive/wire.h"
#include "base/scratch_store.h"

namespace flyweight {
namespace {

/// Appends to a store.
class StoreSink final : public ByteSink {
 public:
  explicit StoreSink(ScratchStore& store) : store_(store) {}
  Status Append(ByteSpan bytes) override {
    FLYWEIGHT_TRY(store_.WriteAt(position_, bytes));
    position_ += bytes.size();
    return Status::Ok();
  }

 private:
  ScratchStore& store_;
  uint64_t position_ = 0;
};

std::vector<std::byte> Copy(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

class StructureRepair {
 public:
  StructureRepair(const ByteSource& damaged, const ArchiveRepairOptions& options, RepairReport& report)
      : options_(options), report_(report), sources_{&damaged} {
    if (options.other != nullptr) sources_.push_back(options.other);
  }

  Result<std::unique_ptr<ByteSource>> Run() {
    FLYWEIGHT_ASSIGN(skeleton_, FindSkeleton(sources_));
    const ArchiveFooter& footer = skeleton_.footer;
    report_.archive_bytes = footer.archive_bytes;
    report_.repairs = skeleton_.repairs;
    uint64_t size_bytes = sources_[0]->size();
    report_.extra_bytes = size_bytes > footer.archive_bytes ? size_bytes - footer.archive_bytes : 0;

    auto archive = std::make_unique<RepairedArchive>();
    HeaderBytes header = WriteHeader(footer.header);
    archive->pieces().Add(archive->Keep(Copy(header)), 0, header.size());
    FLYWEIGHT_TRY(AddRecords(*archive));
    const ByteSource& section = archive->Keep(Copy(skeleton_.section));
    archive->pieces().Add(section, 0, section.size());
    FLYWEIGHT_TRY(AddArea(*archive));
    archive->pieces().Add(section, 0, section.size());
    FooterBytes footer_bytes = WriteFooter(footer);
    archive->pieces().Add(archive->Keep(Copy(footer_bytes)), 0, footer_bytes.size());
    return std::unique_ptr<ByteSource>(std::move(archive));
  }

 private:
  Status AddRecords(RepairedArchive& archive) {
    std::map<uint64_t, const IndexExtent*> records;  // several extents may name one
    for (const IndexFile& file : skeleton_.index.files) {
      for (const IndexExtent& extent : file.extents) {
        if (extent.has_record()) records.emplace(extent.record_offset, &extent);
      }
    }
    for (const auto& [offset, extent] : records) {
      if (offset < archive.size()) return Error{ErrorCode::kCorrupt, offset, "two records overlap"};
      AddGap(archive, offset);
      AddRecord(archive, *extent);
    }
    AddGap(archive, skeleton_.footer.first_index_offset);
    // Where nothing in the damaged file says which archive it was, most of its content has to.
    if (!skeleton_.from_first && 2 * first_bytes_ <= record_bytes_) {
      return Error{ErrorCode::kCorrupt, 0, "the two files have too little in common to be copies of one archive"};
    }
    if (report_.lost.empty()) return Status::Ok();
    return Error{ErrorCode::kChecksumMismatch, report_.lost.front().offset,
                 "data are damaged, and there is neither parity nor an intact second copy of them"};
  }

  /// Bytes before `end` that belong to no record: nothing says what they must be.
  void AddGap(RepairedArchive& archive, uint64_t end) {
    if (archive.size() >= end) return;
    uint64_t size_bytes = end - archive.size();
    size_t source = 0;
    while (source < sources_.size() && sources_[source]->size() < end) ++source;
    if (source == sources_.size()) {
      AddRange(report_.lost, archive.size(), size_bytes);
      source = 0;
    }
    archive.pieces().Add(*sources_[source], archive.size(), size_bytes);
  }

  void AddRecord(RepairedArchive& archive, const IndexExtent& extent) {
    bool from_other = false;
    RecordChoice choice = ChoosePieces(sources_, extent, report_.lost);
    record_bytes_ += extent.record_bytes;
    first_bytes_ += choice.first_bytes;
    for (const RecordPiece& piece : choice.pieces) {
      archive.pieces().Add(*sources_[0], archive.size(), piece.offset - archive.size());  // lost
      archive.pieces().Add(*sources_[piece.source], piece.offset, piece.size_bytes);
      from_other |= piece.source != 0;
    }
    uint64_t end = extent.record_offset + extent.record_bytes;
    archive.pieces().Add(*sources_[0], archive.size(), end - archive.size());
    if (from_other) report_.repairs.push_back("record at byte " + std::to_string(extent.record_offset));
  }

  /// The parity area of which no info cell is left: it is computed anew.
  Status AddArea(RepairedArchive& archive) {
    const ArchiveFooter& footer = skeleton_.footer;
    uint64_t area_bytes = footer.second_index_offset - archive.size();
    if (area_bytes == 0) return Status::Ok();
    FLYWEIGHT_ASSIGN(ParityLayout layout,
                     InferParity(archive.size(), footer.index_section_bytes + wire::kFooterBytes, area_bytes));
    report_.repairs.emplace_back("parity");
    ZeroSource no_area(area_bytes);
    MemorySource section(skeleton_.section);
    FooterBytes footer_bytes = WriteFooter(footer);
    MemorySource footer_source(footer_bytes);
    PiecedSource whole;
    whole.Add(archive, 0, archive.size());
    whole.Add(no_area, 0, area_bytes);
    whole.Add(section, 0, section.size());
    whole.Add(footer_source, 0, footer_source.size());
    FLYWEIGHT_ASSIGN(auto area, ScratchStore::Make(area_bytes, options_.scratch_directory));
    StoreSink sink(*area);
    FLYWEIGHT_TRY(AppendParityArea(layout, whole, *options_.pool, options_.scratch_directory, sink));
    archive.pieces().Add(archive.Keep(std::move(area)), 0, area_bytes);
    return Status::Ok();
  }

  const ArchiveRepairOptions& options_;
  RepairReport& report_;
  std::vector<const ByteSource*> sources_;
  ArchiveSkeleton skeleton_;
  uint64_t record_bytes_ = 0;
  uint64_t first_bytes_ = 0;  ///< of frames that are right in the first source
};

}  // namespace

Result<std::unique_ptr<ByteSource>> RepairByStructure(const ByteSource& damaged, const ArchiveRepairOptions& options,
                                                      RepairReport& report) {
  return StructureRepair(damaged, options, report).Run();
}

}  // namespace flyweight
