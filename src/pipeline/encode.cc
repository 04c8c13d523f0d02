#include "pipeline/encode.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "codec/record.h"
#include "pipeline/ordered_run.h"
#include "pipeline/slot_buffers.h"
#include "pipeline/tree_digest.h"

namespace flyweight {
namespace {

/// Decoded bytes of the largest chunk of the file.
uint64_t LargestChunkBytes(const IndexFile& file) {
  uint64_t largest = 1;
  for (const IndexExtent& extent : file.extents) {
    largest = std::max(largest, std::min(extent.decoded_bytes, ChunkBytesFor(extent.dtype)));
  }
  return largest;
}

/// The callbacks of an OrderedRun over the extents of one file.
class Encoder {
 public:
  Encoder(const ByteSource& source, IndexFile& file, const EncodeOptions& options, ByteSink& sink, ThreadPool& pool,
          ProgressMeter& progress)
      : source_(source), file_(file), options_(options), writer_(sink), pool_(pool), progress_(progress) {}

  Status WriteRecords() {
    Allocate();
    run_.item_count = file_.extents.size();
    run_.prepare = [this](uint64_t item, size_t worker) { return Prepare(item, worker); };
    run_.work = [this](const ChunkStep& step, size_t worker) { return EncodeChunk(step, worker); };
    if (options_.hash) run_.consumers.push_back([this](const ChunkStep& step) { return HashChunk(step); });
    run_.consumers.push_back([this](const ChunkStep& step) { return AppendChunk(step); });
    run_.report = [this] { progress_.Report(); };
    FLYWEIGHT_TRY(writer_.Begin());
    FLYWEIGHT_TRY(RunInOrder(pool_, run_));
    if (options_.hash) {
      file_.has_sha256 = true;
      file_.sha256 = file_sha256_.Finish();
    }
    return Status::Ok();
  }

  ArchiveWriter& writer() { return writer_; }

 private:
  /// An extent between its preparation and its last chunk.
  struct Item {
    RecordPlan plan;
    RecordHead parsed_head;  ///< only where chunks are checked
    TreeDigest digest;
  };
  struct Slot {
    ByteSpan chunk;
    ChunkEntry entry;
    Digest digest;
  };

  void Allocate() {
    uint64_t chunk_bytes = LargestChunkBytes(file_);
    bool copies_input = source_.InMemory().empty();
    uint64_t frame_bytes = FrameBound(chunk_bytes) + kDecodePaddingBytes;
    SizeOrderedRun(run_, pool_.thread_count(), frame_bytes + (copies_input ? chunk_bytes : 0));
    items_.resize(run_.item_window);
    slots_.resize(run_.slot_count);
    frames_ = SlotBuffers(run_.slot_count, frame_bytes);
    if (copies_input) input_ = SlotBuffers(run_.slot_count, chunk_bytes);
    if (options_.check_chunks) checked_ = SlotBuffers(pool_.thread_count(), chunk_bytes);
    scratch_.resize(pool_.thread_count());
    offsets_.reserve(file_.extents.size());
    uint64_t offset = 0;
    for (const IndexExtent& extent : file_.extents) {
      offsets_.push_back(offset);
      offset += extent.decoded_bytes;
    }
  }

  Item& ItemOf(uint64_t item) { return items_[item % items_.size()]; }

  Result<uint64_t> Prepare(uint64_t number, size_t worker) {
    const IndexExtent& extent = file_.extents[number];
    if (extent.place == PlaceKind::kInline) return uint64_t{1};
    Item& item = ItemOf(number);
    FLYWEIGHT_ASSIGN(item.plan, PlanRecord(source_, offsets_[number], extent.decoded_bytes, extent.dtype, extent.shape,
                                           Level::kBalanced, scratch_[worker]));
    if (options_.check_chunks) {
      FLYWEIGHT_ASSIGN(item.parsed_head, ParseRecordHead(item.plan.head_bytes));
    }
    return item.plan.head.chunk_count;
  }

  Result<ByteSpan> ReadChunk(uint64_t offset, uint64_t size_bytes, size_t slot) {
    size_t size = static_cast<size_t>(size_bytes);
    if (size == 0) return ByteSpan();
    if (ByteSpan memory = source_.InMemory(); !memory.empty()) {
      return memory.subspan(static_cast<size_t>(offset), size);
    }
    MutableByteSpan chunk = input_[slot].first(size);
    FLYWEIGHT_TRY(source_.ReadAt(offset, chunk));
    return ByteSpan(chunk);
  }

  Status EncodeChunk(const ChunkStep& step, size_t worker) {
    IndexExtent& extent = file_.extents[step.item];
    Slot& slot = slots_[step.slot];
    if (extent.place == PlaceKind::kInline) {
      FLYWEIGHT_ASSIGN(slot.chunk, ReadChunk(offsets_[step.item], extent.decoded_bytes, step.slot));
      extent.inline_bytes.assign(slot.chunk.begin(), slot.chunk.end());
    } else {
      const RecordPlan& plan = ItemOf(step.item).plan;
      FLYWEIGHT_ASSIGN(slot.chunk, ReadChunk(offsets_[step.item] + step.chunk * plan.head.chunk_bytes,
                                             plan.head.ChunkDecodedBytes(step.chunk), step.slot));
      slot.entry = EncodeFrame(plan, step.chunk, slot.chunk, frames_[step.slot], scratch_[worker]);
      if (options_.check_chunks) FLYWEIGHT_TRY(CheckChunk(step, worker));
    }
    if (extent.digest_algorithm == DigestAlgorithm::kSha256Tree && !slot.chunk.empty()) {
      slot.digest = Sha256(slot.chunk);
    }
    return Status::Ok();
  }

  Status CheckChunk(const ChunkStep& step, size_t worker) {
    const Slot& slot = slots_[step.slot];
    MutableByteSpan frame = frames_[step.slot];
    MutableByteSpan decoded = checked_[worker].first(slot.chunk.size());
    Status status = DecodeFrame(ItemOf(step.item).parsed_head, step.chunk, frame.first(slot.entry.frame_bytes),
                                frame.size(), slot.entry, decoded, scratch_[worker]);
    if (status.ok() && std::memcmp(decoded.data(), slot.chunk.data(), decoded.size()) == 0) return Status::Ok();
    return Error{ErrorCode::kInternal, offsets_[step.item],
                 "a chunk decoded to other bytes than it was encoded from; please report this as a bug"};
  }

  Status HashChunk(const ChunkStep& step) {
    IndexExtent& extent = file_.extents[step.item];
    const Slot& slot = slots_[step.slot];
    file_sha256_.Update(slot.chunk);
    if (extent.digest_algorithm == DigestAlgorithm::kNone) return Status::Ok();
    TreeDigest& digest = ItemOf(step.item).digest;
    if (!slot.chunk.empty()) digest.AddChunk(slot.digest);
    if (step.is_last) extent.digest = digest.Finish();
    return Status::Ok();
  }

  Status AppendChunk(const ChunkStep& step) {
    IndexExtent& extent = file_.extents[step.item];
    const Slot& slot = slots_[step.slot];
    progress_.Add(slot.chunk.size());
    if (extent.place == PlaceKind::kInline) return Status::Ok();
    RecordPlan& plan = ItemOf(step.item).plan;
    if (step.chunk == 0) FLYWEIGHT_TRY(writer_.BeginRecord(plan));
    FLYWEIGHT_TRY(writer_.AppendFrame(frames_[step.slot].first(slot.entry.frame_bytes), slot.entry));
    if (!step.is_last) return Status::Ok();
    FLYWEIGHT_ASSIGN(ArchiveWriter::RecordPlace place, writer_.EndRecord());
    extent.record_offset = place.offset;
    extent.record_bytes = place.record_bytes;
    extent.record_check = place.record_check;
    plan = {};
    return Status::Ok();
  }

  const ByteSource& source_;
  IndexFile& file_;
  const EncodeOptions& options_;
  ArchiveWriter writer_;
  ThreadPool& pool_;
  ProgressMeter& progress_;

  OrderedRun run_;
  std::vector<uint64_t> offsets_;
  std::vector<Item> items_;
  std::vector<Slot> slots_;
  SlotBuffers frames_{0, 0};
  SlotBuffers input_{0, 0};
  SlotBuffers checked_{0, 0};
  std::vector<CodecScratch> scratch_;
  Sha256Stream file_sha256_;
};

}  // namespace

ArchiveIndex DescribeFile(FileMap map, std::string name, uint64_t file_bytes) {
  ArchiveIndex index;
  IndexFile& file = index.files.emplace_back();
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
  return index;
}

Result<uint64_t> EncodeArchive(const ByteSource& source, ArchiveIndex& index, const EncodeOptions& options,
                               ByteSink& sink, ThreadPool& pool, ProgressMeter& progress) {
  IndexFile& file = index.files.front();
  if (options.hash) {
    for (IndexExtent& extent : file.extents) {
      if (extent.is_tensor) extent.digest_algorithm = DigestAlgorithm::kSha256Tree;
    }
  }
  progress.SetStage("compress");
  // The encoder owns all buffers, so that none is alive while the index is written.
  auto encoder = std::make_unique<Encoder>(source, file, options, sink, pool, progress);
  FLYWEIGHT_TRY(encoder->WriteRecords());
  ArchiveWriter writer = std::move(encoder->writer());
  encoder.reset();
  FLYWEIGHT_TRY(writer.Finish(index));
  return writer.bytes_written();
}

size_t UsefulThreadCount(size_t requested, uint64_t decoded_bytes) {
  constexpr uint64_t kBytesWorthAThread = uint64_t{256} << 10;
  size_t thread_count = ResolveThreadCount(requested);
  uint64_t worth = decoded_bytes / kBytesWorthAThread + 1;
  return static_cast<size_t>(std::min<uint64_t>(thread_count, worth));
}

}  // namespace flyweight
