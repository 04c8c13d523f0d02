#include "pipeline/encode.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "archive/index_patches.h"
#include "archive/index_shared.h"
#include "archive/parity_wire.h"
#include "archive/tree_digest.h"
#include "archive/wire.h"
#include "base/checked.h"
#include "codec/lossy_patch_record.h"
#include "codec/lossy_record.h"
#include "codec/record.h"
#include "lossy/quantise.h"
#include "pipeline/extent_items.h"
#include "pipeline/frame_reuse.h"
#include "pipeline/lossy_ledger.h"
#include "pipeline/ordered_run.h"
#include "pipeline/own_record.h"
#include "pipeline/slot_buffers.h"

namespace flyweight {
namespace {

/// The callbacks of an OrderedRun over the extents of all files.
class Encoder {
 public:
  Encoder(const ContentSet& contents, ArchiveIndex& index, const EncodeOptions& options, ByteSink& sink,
          ThreadPool& pool, ProgressMeter& progress)
      : contents_(contents), index_(index), options_(options), writer_(sink), pool_(pool), progress_(progress) {
    is_lossy_ = options.lossy != nullptr && options.lossy->any();
  }

  Status WriteRecords() {
    Allocate();
    run_.item_count = work_.size();
    run_.prepare = [this](uint64_t item, size_t worker) { return Prepare(item, worker); };
    run_.work = [this](const ChunkStep& step, size_t worker) { return EncodeChunk(step, worker); };
    if (options_.hash) run_.consumers.push_back([this](const ChunkStep& step) { return HashChunk(step); });
    if (is_lossy_) run_.consumers.push_back([this](const ChunkStep& step) { return HashSource(step); });
    run_.consumers.push_back([this](const ChunkStep& step) { return AppendChunk(step); });
    run_.report = [this] { progress_.Report(); };
    ArchiveHeader header;
    // The header is written before any chunk, so before it is known which codecs there will be.
    header.required_features |= wire::kFeatureCodecs;
    if (index_.is_tree) header.required_features |= wire::kFeatureTree;
    if (is_lossy_) header.required_features |= wire::kFeatureLossy;
    if (HasPatches(index_)) header.required_features |= wire::kFeaturePatches;
    if (HasSharedPlaces(index_)) header.required_features |= wire::kFeatureShared;
    if (options_.recovery.permille != 0) header.optional_features |= wire::kOptionalParity;
    FLYWEIGHT_TRY(writer_.Begin(header));
    FLYWEIGHT_TRY(RunInOrder(pool_, run_));
    if (options_.hash) HashEmptyFiles();
    ledger_.WriteAttributes(index_);
    return options_.patches != nullptr ? options_.patches->Finish(index_) : Status::Ok();
  }

  ArchiveWriter& writer() { return writer_; }

 private:
  /// What is done with an extent. One of pieces is two items: its record, then its content for the digests.
  struct Work {
    uint64_t number = 0;  ///< of the extent, over all files
    bool writes_record = false;
    bool reads_content = false;  ///< all of it goes by, in order
  };
  /// An item between its preparation and its last chunk.
  struct Item {
    std::shared_ptr<const Content> content;
    std::unique_ptr<const ByteSource> own;  ///< what the record of an extent of pieces holds
    RecordPlan plan;
    PatchBaseContent base;   ///< what the record is a patch on; without a source where it is none
    RecordHead parsed_head;  ///< only where chunks are checked
    TreeDigest digest;
  };
  struct Slot {
    ByteSpan chunk;   ///< what decoding will give
    ByteSpan source;  ///< what was read, where that may be something else
    ChunkEntry entry;
    Digest digest;
    ErrorSums errors;
    double squared_change = 0;  ///< of a lossy patch
  };

  void Allocate() {
    places_ = ItemsOf(index_, AllFiles(index_));
    ListWork();
    uint64_t chunk_bytes = LargestChunkBytes(index_, AllFiles(index_));
    // A single source in memory needs no copies; of many files nobody knows before they are open.
    copies_input_ = index_.is_tree || SourceIsNotInMemory() || HasSharedPlaces(index_);
    uint64_t frame_bytes = FrameBound(chunk_bytes) + kDecodePaddingBytes;
    SizeOrderedRun(run_, pool_.thread_count(),
                   frame_bytes + (copies_input_ ? chunk_bytes : 0) + (is_lossy_ ? chunk_bytes : 0));
    items_.resize(run_.item_window);
    slots_.resize(run_.slot_count);
    frames_ = SlotBuffers(run_.slot_count, frame_bytes);
    if (copies_input_) input_ = SlotBuffers(run_.slot_count, chunk_bytes);
    if (is_lossy_) restored_ = SlotBuffers(run_.slot_count, chunk_bytes);
    reuse_.emplace(options_.previous, index_, places_);
    if (decodes_chunks()) checked_ = SlotBuffers(pool_.thread_count(), chunk_bytes);
    scratch_.resize(pool_.thread_count());
    base_chunks_.resize(pool_.thread_count());
  }

  /// Whether what was encoded, now or by an interrupted run, is decoded on the way.
  bool decodes_chunks() const { return options_.check_chunks || reuse_->has_frames(); }

  bool SourceIsNotInMemory() {
    if (places_.empty()) return true;
    Result<std::shared_ptr<const Content>> content = contents_.Open(places_.front().file);
    return !content.ok() || content.value()->source().InMemory().empty();
  }

  void ListWork() {
    work_.reserve(places_.size());
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = index_.files[places_[number].file].extents[places_[number].extent];
      bool is_record = extent.place == PlaceKind::kRecord || extent.place == PlaceKind::kPatched;
      if (extent.has_record() && !is_record) work_.push_back({number, true, false});
      work_.push_back({number, is_record, true});
    }
  }

  Item& ItemOf(uint64_t item) { return items_[item % items_.size()]; }
  const ExtentItem& PlaceOf(uint64_t item) const { return places_[work_[item].number]; }
  IndexFile& FileOf(uint64_t item) { return index_.files[PlaceOf(item).file]; }
  IndexExtent& ExtentOf(uint64_t item) { return FileOf(item).extents[PlaceOf(item).extent]; }

  Result<uint64_t> Prepare(uint64_t number, size_t worker) {
    const IndexExtent& extent = ExtentOf(number);
    Item& item = ItemOf(number);
    FLYWEIGHT_ASSIGN(item.content, contents_.Open(PlaceOf(number).file));
    if (extent.place == PlaceKind::kInline) return uint64_t{1};
    if (!work_[number].writes_record) {
      return options_.hash ? CeilDiv(extent.decoded_bytes, ChunkBytesFor(extent.dtype)) : uint64_t{1};
    }
    FLYWEIGHT_ASSIGN(item.plan, PlanExtent(number, *item.content, scratch_[worker]));
    if (decodes_chunks()) {
      FLYWEIGHT_ASSIGN(item.parsed_head, ParseRecordHead(item.plan.head_bytes));
    }
    return item.plan.head.chunk_count;
  }

  /// How an item is lossy. Whether a patch is shows when it was planned.
  std::optional<LossyChoice> ChoiceOf(uint64_t item) {
    if (!is_lossy_) return std::nullopt;
    if (ItemOf(item).base.source != nullptr) return LossyChoiceOf(ItemOf(item).plan.head);
    return options_.lossy->Of(work_[item].number);
  }

  Result<RecordPlan> PlanExtent(uint64_t number, const Content& content, CodecScratch& scratch) {
    const IndexExtent& extent = ExtentOf(number);
    uint64_t offset = PlaceOf(number).offset;
    if (extent.place == PlaceKind::kPieces) {
      auto number_over_all = static_cast<uint32_t>(work_[number].number);
      std::unique_ptr<const ByteSource>& own = ItemOf(number).own;
      own = OwnContent(content.source(), offset, number_over_all, extent);
      return PlanRecord(*own, 0, extent.own_bytes, extent.dtype, OwnShape(number_over_all, extent), options_.level,
                        scratch);
    }
    if (extent.place == PlaceKind::kPatched) return PlanPatch(number, content, scratch);
    if (auto choice = ChoiceOf(number); choice.has_value()) {
      return PlanLossyRecord(content.source(), offset, extent.decoded_bytes, extent.dtype, extent.shape, *choice,
                             scratch);
    }
    return PlanRecord(content.source(), offset, extent.decoded_bytes, extent.dtype, extent.shape, options_.level,
                      scratch);
  }

  /// An extent that is cheaper without its base becomes an ordinary record.
  Result<RecordPlan> PlanPatch(uint64_t number, const Content& content, CodecScratch& scratch) {
    IndexExtent& extent = ExtentOf(number);
    FLYWEIGHT_ASSIGN(PatchBaseContent base, options_.patches->Open(work_[number].number));
    FLYWEIGHT_ASSIGN(ChosenPlan chosen, ChoosePatch(number, content, base, scratch));
    if (chosen.is_patch) {
      ItemOf(number).base = std::move(base);
    } else {
      extent.place = PlaceKind::kRecord;
    }
    return std::move(chosen.plan);
  }

  /// A lossy patch where that was planned, else what is smallest.
  Result<ChosenPlan> ChoosePatch(uint64_t number, const Content& content, const PatchBaseContent& base,
                                 CodecScratch& scratch) {
    const IndexExtent& extent = ExtentOf(number);
    const uint64_t offset = PlaceOf(number).offset;
    const std::optional<LossyDeltaChoice> choice =
        is_lossy_ ? options_.lossy->DeltaOf(work_[number].number) : std::nullopt;
    if (choice.has_value()) {
      FLYWEIGHT_ASSIGN(PatchPlan lossy,
                       PlanLossyPatchRecord(content.source(), offset, extent.decoded_bytes, extent.dtype, extent.shape,
                                            *base.source, base.offset, base.size_bytes, base.dtype, *choice, scratch));
      if (lossy.estimated_bytes != kNoPatchBytes)
        return ChosenPlan{std::move(lossy.record), true, static_cast<double>(lossy.estimated_bytes)};
    }
    return ChoosePlan(content.source(), offset, extent, base, options_.level, scratch);
  }

  /// What a chunk of a patch is made from; nothing for other records.
  Result<ByteSpan> ReadBaseChunk(const ChunkStep& step, size_t worker) {
    const Item& item = ItemOf(step.item);
    if (item.base.source == nullptr) return ByteSpan();
    BaseRange range = BaseRangeOf(item.plan.head, step.chunk);
    auto size = static_cast<size_t>(range.size_bytes);
    if (size == 0) return ByteSpan();
    AlignedBuffer& buffer = base_chunks_[worker];
    buffer.Resize(size);
    MutableByteSpan chunk(buffer.data(), size);
    FLYWEIGHT_TRY(item.base.source->ReadAt(item.base.offset + range.begin_bytes, chunk));
    return ByteSpan(chunk);
  }

  Result<ByteSpan> ReadChunk(const ChunkStep& step, uint64_t begin, uint64_t size_bytes) {
    size_t size = static_cast<size_t>(size_bytes);
    if (size == 0) return ByteSpan();
    const Item& item = ItemOf(step.item);
    const ByteSource& source = item.own != nullptr ? *item.own : item.content->source();
    uint64_t offset = (item.own != nullptr ? 0 : PlaceOf(step.item).offset) + begin;
    if (ByteSpan memory = source.InMemory(); !memory.empty()) {
      return memory.subspan(static_cast<size_t>(offset), size);
    }
    MutableByteSpan chunk = input_[step.slot].first(size);
    FLYWEIGHT_TRY(source.ReadAt(offset, chunk));
    return ByteSpan(chunk);
  }

  Status EncodeChunk(const ChunkStep& step, size_t worker) {
    IndexExtent& extent = ExtentOf(step.item);
    Slot& slot = slots_[step.slot];
    if (extent.place == PlaceKind::kInline) {
      FLYWEIGHT_ASSIGN(slot.chunk, ReadChunk(step, 0, extent.decoded_bytes));
      slot.source = slot.chunk;
      extent.inline_bytes.assign(slot.chunk.begin(), slot.chunk.end());
    } else if (!work_[step.item].writes_record) {
      FLYWEIGHT_ASSIGN(slot.chunk, ReadSameChunk(step, extent));
      slot.source = slot.chunk;
      if (auto choice = ChoiceOf(step.item); choice.has_value()) {
        MutableByteSpan restored = restored_[step.slot].first(slot.source.size());
        RestoreChunk(*choice, extent.dtype, slot.source, restored);
        TakeRestored(extent.dtype, restored, slot);
      }
    } else {
      const RecordPlan& plan = ItemOf(step.item).plan;
      FLYWEIGHT_ASSIGN(slot.chunk,
                       ReadChunk(step, step.chunk * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(step.chunk)));
      slot.source = slot.chunk;
      FLYWEIGHT_ASSIGN(ByteSpan base_chunk, ReadBaseChunk(step, worker));
      if (IsLossyPatch(plan.head)) {
        MutableByteSpan restored = restored_[step.slot].first(slot.source.size());
        LossyPatchFrame frame = EncodeLossyPatchFrame(plan, step.chunk, slot.source, base_chunk, frames_[step.slot],
                                                      restored, scratch_[worker]);
        slot.entry = frame.entry;
        slot.squared_change = frame.squared_change;
        TakeRestored(extent.dtype, restored, slot);
      } else if (ChoiceOf(step.item).has_value()) {
        MutableByteSpan restored = restored_[step.slot].first(slot.source.size());
        slot.entry = EncodeLossyFrame(plan, step.chunk, slot.source, frames_[step.slot], restored, scratch_[worker]);
        TakeRestored(extent.dtype, restored, slot);
      } else if (ReuseFrame(step, base_chunk, worker)) {
      } else if (ItemOf(step.item).base.source != nullptr) {
        slot.entry = EncodePatchFrame(plan, step.chunk, slot.chunk, base_chunk, frames_[step.slot], scratch_[worker]);
      } else {
        slot.entry = EncodeFrame(plan, step.chunk, slot.chunk, frames_[step.slot], scratch_[worker]);
      }
      if (options_.check_chunks) FLYWEIGHT_TRY(CheckChunk(step, base_chunk, worker));
    }
    bool needs_digest = extent.digest_algorithm == DigestAlgorithm::kSha256Tree && work_[step.item].reads_content;
    if (needs_digest && !slot.chunk.empty()) {
      slot.digest = Sha256(slot.chunk);
    }
    return Status::Ok();
  }

  static void TakeRestored(DType dtype, ByteSpan restored, Slot& slot) {
    slot.chunk = restored;
    slot.errors = MeasureErrors(dtype, slot.source, restored);
  }

  /// What is stored elsewhere is still read, for the digests.
  Result<ByteSpan> ReadSameChunk(const ChunkStep& step, const IndexExtent& extent) {
    if (!options_.hash) return ByteSpan();
    uint64_t chunk_bytes = ChunkBytesFor(extent.dtype);
    uint64_t begin = step.chunk * chunk_bytes;
    return ReadChunk(step, begin, std::min(chunk_bytes, extent.decoded_bytes - begin));
  }

  bool ReuseFrame(const ChunkStep& step, ByteSpan base_chunk, size_t worker) {
    const Item& item = ItemOf(step.item);
    Slot& slot = slots_[step.slot];
    return reuse_->has_frames() &&
           reuse_->Take(work_[step.item].number, item.plan, item.parsed_head, step.chunk, slot.chunk, base_chunk,
                        frames_[step.slot], checked_[worker], slot.entry, scratch_[worker]);
  }

  Status CheckChunk(const ChunkStep& step, ByteSpan base_chunk, size_t worker) {
    const Slot& slot = slots_[step.slot];
    MutableByteSpan frame = frames_[step.slot];
    MutableByteSpan decoded = checked_[worker].first(slot.chunk.size());
    Status status = DecodePatchFrame(ItemOf(step.item).parsed_head, step.chunk, frame.first(slot.entry.frame_bytes),
                                     frame.size(), slot.entry, base_chunk, decoded, scratch_[worker]);
    if (status.ok() && std::memcmp(decoded.data(), slot.chunk.data(), decoded.size()) == 0) return Status::Ok();
    return Error{ErrorCode::kInternal, PlaceOf(step.item).offset,
                 "a chunk decoded to other bytes than it was encoded from; please report this as a bug"};
  }

  Status HashChunk(const ChunkStep& step) {
    if (!work_[step.item].reads_content) return Status::Ok();
    IndexFile& file = FileOf(step.item);
    IndexExtent& extent = ExtentOf(step.item);
    const Slot& slot = slots_[step.slot];
    file_sha256_.Update(slot.chunk);
    if (extent.digest_algorithm != DigestAlgorithm::kNone) {
      TreeDigest& digest = ItemOf(step.item).digest;
      if (!slot.chunk.empty()) digest.AddChunk(slot.digest);
      if (step.is_last) extent.digest = digest.Finish();
    }
    if (!step.is_last || !IsLastOfFile(step.item)) return Status::Ok();
    file.has_sha256 = true;
    file.sha256 = file_sha256_.Finish();
    file_sha256_ = Sha256Stream();
    return Status::Ok();
  }

  Status HashSource(const ChunkStep& step) {
    if (!work_[step.item].reads_content) return Status::Ok();
    ledger_.HashSource(PlaceOf(step.item).file, slots_[step.slot].source, step.is_last && IsLastOfFile(step.item));
    return Status::Ok();
  }

  /// Files without extents never come by.
  void HashEmptyFiles() {
    for (IndexFile& file : index_.files) {
      if (file.has_sha256 || !file.extents.empty() || file.entry.kind != EntryKind::kFile) continue;
      file.has_sha256 = true;
      file.sha256 = Sha256({});
    }
  }

  bool IsLastOfFile(uint64_t item) {
    return work_[item].reads_content && PlaceOf(item).extent + 1 == FileOf(item).extents.size();
  }

  Status AppendChunk(const ChunkStep& step) {
    const Slot& slot = slots_[step.slot];
    if (work_[step.item].reads_content) progress_.Add(slot.chunk.size());
    if (work_[step.item].writes_record) FLYWEIGHT_TRY(AppendFrame(step, slot));
    if (auto choice = ChoiceOf(step.item); choice.has_value()) {
      const ExtentItem& place = PlaceOf(step.item);
      FLYWEIGHT_TRY(
          ledger_.AddChunk(place.file, place.extent, *choice, slot.errors, slot.squared_change, step.is_last));
    }
    if (!step.is_last) return Status::Ok();
    Item& item = ItemOf(step.item);
    item.plan = {};
    item.base = {};
    item.own.reset();
    std::shared_ptr<const Content> content = std::move(item.content);
    if (!IsLastOfFile(step.item)) return Status::Ok();
    return content->CheckUnchanged();
  }

  Status AppendFrame(const ChunkStep& step, const Slot& slot) {
    const RecordPlan& plan = ItemOf(step.item).plan;
    if (step.chunk == 0) FLYWEIGHT_TRY(writer_.BeginRecord(plan));
    FLYWEIGHT_TRY(writer_.AppendFrame(frames_[step.slot].first(slot.entry.frame_bytes), slot.entry));
    if (!step.is_last) return Status::Ok();
    FLYWEIGHT_ASSIGN(ArchiveWriter::RecordPlace place, writer_.EndRecord());
    IndexExtent& extent = ExtentOf(step.item);
    extent.record_offset = place.offset;
    extent.record_bytes = place.record_bytes;
    extent.record_check = place.record_check;
    return Status::Ok();
  }

  ContentCache contents_;
  ArchiveIndex& index_;
  const EncodeOptions& options_;
  ArchiveWriter writer_;
  ThreadPool& pool_;
  ProgressMeter& progress_;

  OrderedRun run_;
  std::vector<ExtentItem> places_;  ///< of all extents
  std::vector<Work> work_;          ///< by item
  std::optional<FrameReuse> reuse_;
  std::vector<Item> items_;
  std::vector<Slot> slots_;
  SlotBuffers frames_{0, 0};
  SlotBuffers input_{0, 0};
  SlotBuffers restored_{0, 0};
  SlotBuffers checked_{0, 0};
  std::vector<CodecScratch> scratch_;
  std::vector<AlignedBuffer> base_chunks_;  ///< one a worker
  Sha256Stream file_sha256_;
  LossyLedger ledger_;
  bool copies_input_ = true;
  bool is_lossy_ = false;
};

}  // namespace

IndexFile DescribeFile(FileMap map, std::string name, uint64_t file_bytes) {
  IndexFile file;
  file.name = std::move(name);
  file.container_format = map.format;
  file.file_bytes = file_bytes;
  file.extents.reserve(map.extents.size());
  for (Extent& extent : map.extents) {
    IndexExtent& described = file.extents.emplace_back();
    described.decoded_bytes = extent.size_bytes;
    described.is_tensor = extent.is_tensor;
    described.name = std::move(extent.name);
    described.dtype = extent.dtype;
    described.shape = std::move(extent.shape);
    described.place = extent.size_bytes <= kInlineMaxBytes ? PlaceKind::kInline : PlaceKind::kRecord;
  }
  return file;
}

ArchiveIndex DescribeSingleFile(FileMap map, std::string name, uint64_t file_bytes) {
  ArchiveIndex index;
  index.files.push_back(DescribeFile(std::move(map), std::move(name), file_bytes));
  return index;
}

Result<EncodedArchive> EncodeArchive(const ContentSet& contents, ArchiveIndex& index, const EncodeOptions& options,
                                     ByteSink& sink, ThreadPool& pool, ProgressMeter& progress) {
  for (IndexFile& file : index.files) {
    if (!options.hash) break;
    for (IndexExtent& extent : file.extents) {
      if (extent.is_tensor) extent.digest_algorithm = DigestAlgorithm::kSha256Tree;
    }
  }
  progress.SetStage("compress");
  // The encoder owns all buffers, so that none is alive while the index is written.
  auto encoder = std::make_unique<Encoder>(contents, index, options, sink, pool, progress);
  FLYWEIGHT_TRY(encoder->WriteRecords());
  ArchiveWriter writer = std::move(encoder->writer());
  encoder.reset();
  FLYWEIGHT_TRY(writer.Finish(index, options.recovery));
  return EncodedArchive{writer.bytes_written(), writer.index_hash()};
}

size_t UsefulThreadCount(size_t requested, uint64_t decoded_bytes) {
  constexpr uint64_t kBytesWorthAThread = uint64_t{256} << 10;
  size_t thread_count = ResolveThreadCount(requested);
  uint64_t worth = decoded_bytes / kBytesWorthAThread + 1;
  return static_cast<size_t>(std::min<uint64_t>(thread_count, worth));
}

}  // namespace flyweight
