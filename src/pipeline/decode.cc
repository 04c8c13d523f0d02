#include "pipeline/decode.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "pipeline/ordered_run.h"
#include "pipeline/slot_buffers.h"
#include "pipeline/tree_digest.h"

namespace flyweight {
namespace {

std::string NameOf(const IndexExtent& extent, uint64_t number) {
  return extent.is_tensor ? "tensor '" + extent.name + "'" : "extent " + std::to_string(number);
}

/// The callbacks of an OrderedRun over the extents of one file.
class Decoder {
 public:
  Decoder(const ArchiveReader& reader, const IndexFile& file, const DecodeOptions& options, ThreadPool& pool,
          ProgressMeter& progress)
      : reader_(reader), file_(file), options_(options), pool_(pool), progress_(progress) {}

  Result<uint64_t> Run() {
    bool check_sha256 = options_.check_sha256 && file_.has_sha256;
    Allocate();
    run_.item_count = file_.extents.size();
    run_.prepare = [this](uint64_t item, size_t) { return Prepare(item); };
    run_.work = [this](const ChunkStep& step, size_t worker) { return DecodeChunk(step, worker); };
    if (check_sha256 || options_.check_digests) {
      run_.consumers.push_back([=, this](const ChunkStep& step) { return HashChunk(step, check_sha256); });
    }
    if (options_.consume) {
      run_.consumers.push_back([this](const ChunkStep& step) { return options_.consume(slots_[step.slot].chunk); });
    }
    run_.report = [this] { progress_.Report(); };
    FLYWEIGHT_TRY(RunInOrder(pool_, run_));
    if (check_sha256 && file_sha256_.Finish() != file_.sha256) {
      return Error{ErrorCode::kChecksumMismatch, 0, "the decoded file's SHA-256 is not the one in the archive"};
    }
    return chunk_count_.load();
  }

 private:
  /// An extent between its preparation and its last chunk.
  struct Item {
    OpenRecord record;
    TreeDigest digest;
  };
  struct Slot {
    ByteSpan chunk;
    Digest digest;
    AlignedBuffer large;  ///< for chunks larger than this version writes
  };

  void Allocate() {
    uint64_t chunk_bytes = 1;
    offsets_.reserve(file_.extents.size());
    uint64_t offset = 0;
    for (const IndexExtent& extent : file_.extents) {
      chunk_bytes = std::max(chunk_bytes, std::min(extent.decoded_bytes, ChunkBytesFor(extent.dtype)));
      offsets_.push_back(offset);
      offset += extent.decoded_bytes;
    }
    SizeOrderedRun(run_, pool_.thread_count(), chunk_bytes);
    items_.resize(run_.item_window);
    slots_.resize(run_.slot_count);
    if (options_.memory.empty()) buffers_ = SlotBuffers(run_.slot_count, chunk_bytes);
    scratch_.resize(pool_.thread_count());
  }

  Item& ItemOf(uint64_t item) { return items_[item % items_.size()]; }

  Result<uint64_t> Prepare(uint64_t number) {
    const IndexExtent& extent = file_.extents[number];
    const IndexExtent& place = reader_.Resolve(extent);
    Item& item = ItemOf(number);
    item.record = {};
    if (place.place == PlaceKind::kInline) return uint64_t{1};
    if (place.place != PlaceKind::kRecord) {
      return Error{ErrorCode::kUnsupportedFeature, 0, NameOf(extent, number) + " lies outside the archive"};
    }
    Result<OpenRecord> record = reader_.OpenRecordOf(place);
    if (!record.ok()) return WithContext(record.take_error(), NameOf(extent, number));
    item.record = std::move(record).value();
    if (item.record.head.decoded_bytes != extent.decoded_bytes) {
      return Error{ErrorCode::kCorrupt, place.record_offset, NameOf(extent, number) + ": its record has another size"};
    }
    chunk_count_.fetch_add(item.record.head.chunk_count, std::memory_order_relaxed);
    return item.record.head.chunk_count;
  }

  MutableByteSpan Target(const ChunkStep& step, uint64_t file_offset, uint64_t size_bytes) {
    size_t size = static_cast<size_t>(size_bytes);
    if (!options_.memory.empty()) return options_.memory.subspan(static_cast<size_t>(file_offset), size);
    MutableByteSpan buffer = buffers_[step.slot];
    if (size <= buffer.size()) return buffer.first(size);
    AlignedBuffer& large = slots_[step.slot].large;
    large.Resize(size);
    return {large.data(), size};
  }

  Status DecodeChunk(const ChunkStep& step, size_t worker) {
    const IndexExtent& extent = file_.extents[step.item];
    const IndexExtent& place = reader_.Resolve(extent);
    Slot& slot = slots_[step.slot];
    uint64_t file_offset = offsets_[step.item];
    if (place.place == PlaceKind::kInline) {
      slot.chunk = place.inline_bytes;
      if (!options_.memory.empty()) {
        std::copy(slot.chunk.begin(), slot.chunk.end(), Target(step, file_offset, slot.chunk.size()).begin());
      }
    } else {
      const OpenRecord& record = ItemOf(step.item).record;
      file_offset += step.chunk * record.head.chunk_bytes;
      MutableByteSpan target = Target(step, file_offset, record.head.ChunkDecodedBytes(step.chunk));
      Status status = reader_.DecodeChunk(record, step.chunk, target, scratch_[worker]);
      if (!status.ok()) {
        return WithContext(status.take_error(), NameOf(extent, step.item));
      }
      slot.chunk = target;
    }
    if (NeedsDigest(extent) && !slot.chunk.empty()) slot.digest = Sha256(slot.chunk);
    if (options_.visit) FLYWEIGHT_TRY(options_.visit(file_offset, slot.chunk, worker));
    progress_.Add(slot.chunk.size());
    return Status::Ok();
  }

  bool NeedsDigest(const IndexExtent& extent) const {
    return options_.check_digests && extent.digest_algorithm == DigestAlgorithm::kSha256Tree;
  }

  Status HashChunk(const ChunkStep& step, bool check_sha256) {
    const IndexExtent& extent = file_.extents[step.item];
    const Slot& slot = slots_[step.slot];
    if (check_sha256) file_sha256_.Update(slot.chunk);
    if (!NeedsDigest(extent)) return Status::Ok();
    TreeDigest& digest = ItemOf(step.item).digest;
    if (!slot.chunk.empty()) digest.AddChunk(slot.digest);
    if (!step.is_last || digest.Finish() == extent.digest) return Status::Ok();
    return Error{ErrorCode::kChecksumMismatch, 0,
                 NameOf(extent, step.item) + ": its digest is not the one in the index"};
  }

  const ArchiveReader& reader_;
  const IndexFile& file_;
  const DecodeOptions& options_;
  ThreadPool& pool_;
  ProgressMeter& progress_;

  OrderedRun run_;
  std::vector<uint64_t> offsets_;
  std::vector<Item> items_;
  std::vector<Slot> slots_;
  SlotBuffers buffers_{0, 0};
  std::vector<CodecScratch> scratch_;
  Sha256Stream file_sha256_;
  std::atomic<uint64_t> chunk_count_ = 0;
};

}  // namespace

Result<uint64_t> DecodeArchiveFile(const ArchiveReader& reader, const IndexFile& file, const DecodeOptions& options,
                                   ThreadPool& pool, ProgressMeter& progress) {
  return Decoder(reader, file, options, pool, progress).Run();
}

Result<const IndexFile*> SingleFileOf(const ArchiveReader& reader) {
  const std::vector<IndexFile>& files = reader.index().files;
  if (files.size() == 1) return &files.front();
  return Error{ErrorCode::kUnsupportedFeature, 0,
               "the archive holds " + std::to_string(files.size()) +
                   " files; this version restores archives of exactly one (a later version handles directories)"};
}

}  // namespace flyweight
