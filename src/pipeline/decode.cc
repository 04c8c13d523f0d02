#include "pipeline/decode.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "archive/range_reader.h"
#include "archive/tree_digest.h"
#include "base/checked.h"
#include "pipeline/ordered_run.h"
#include "pipeline/slot_buffers.h"

namespace flyweight {
namespace {

std::string NameOf(const IndexExtent& extent, uint64_t number) {
  return extent.is_tensor ? "tensor '" + extent.name + "'" : "extent " + std::to_string(number);
}

/// The callbacks of an OrderedRun over the extents of some files.
class Decoder {
 public:
  Decoder(const ArchiveReader& reader, FileRange files, const DecodeOptions& options, ThreadPool& pool,
          ProgressMeter& progress)
      : reader_(reader), files_(files), options_(options), pool_(pool), progress_(progress), next_file_(files.first) {}

  Result<uint64_t> Run() {
    Allocate();
    run_.item_count = places_.size();
    run_.prepare = [this](uint64_t item, size_t) { return Prepare(item); };
    run_.work = [this](const ChunkStep& step, size_t worker) { return DecodeChunk(step, worker); };
    run_.consumers.push_back([this](const ChunkStep& step) { return HashChunk(step); });
    if (options_.consume) {
      run_.consumers.push_back([this](const ChunkStep& step) { return options_.consume(slots_[step.slot].chunk); });
    }
    run_.report = [this] { progress_.Report(); };
    FLYWEIGHT_TRY(RunInOrder(pool_, run_));
    FLYWEIGHT_TRY(FinishFilesBefore(files_.first + files_.count));
    return chunk_count_.load();
  }

 private:
  /// An extent between its preparation and its last chunk.
  struct Item {
    OpenRecord record;
    TreeDigest digest;
    bool is_lost = false;  ///< its record could not be opened, and that is not an error here
  };
  struct Slot {
    ByteSpan chunk;
    Digest digest;
    AlignedBuffer large;  ///< for chunks larger than this version writes
  };

  void Allocate() {
    places_ = ItemsOf(reader_.index(), files_);
    uint64_t chunk_bytes = LargestChunkBytes(reader_.index(), files_);
    SizeOrderedRun(run_, pool_.thread_count(), chunk_bytes);
    items_.resize(run_.item_window);
    slots_.resize(run_.slot_count);
    if (options_.memory.empty()) buffers_ = SlotBuffers(run_.slot_count, chunk_bytes);
    scratch_.resize(pool_.thread_count());
    for (size_t worker = 0; worker < pool_.thread_count(); ++worker) {
      ranges_.emplace_back(reader_).set_stored_check(options_.stored_check);
    }
  }

  Item& ItemOf(uint64_t item) { return items_[item % items_.size()]; }
  const IndexFile& FileOf(uint64_t item) const { return reader_.index().files[places_[item].file]; }
  const IndexExtent& ExtentOf(uint64_t item) const { return FileOf(item).extents[places_[item].extent]; }

  /// Says which extent an error is about, and in a tree of which file.
  Error InContext(Error error, uint64_t item) const {
    error = WithContext(std::move(error), NameOf(ExtentOf(item), places_[item].extent));
    return reader_.index().is_tree ? WithContext(std::move(error), FileOf(item).name) : error;
  }

  Result<uint64_t> Prepare(uint64_t number) {
    const IndexExtent& extent = ExtentOf(number);
    const IndexExtent& place = reader_.Resolve(extent);
    Item& item = ItemOf(number);
    item.record = {};
    item.is_lost = false;
    if (place.place == PlaceKind::kInline) return uint64_t{1};
    if (place.is_made_of_others()) {
      uint64_t chunk_count = CeilDiv(extent.decoded_bytes, ChunkBytesFor(extent.dtype));
      chunk_count_.fetch_add(chunk_count, std::memory_order_relaxed);
      return chunk_count;
    }
    if (place.place != PlaceKind::kRecord) {
      return InContext({ErrorCode::kUnsupportedFeature, 0, "it lies outside the archive"}, number);
    }
    Result<OpenRecord> record = reader_.OpenRecordOf(place);
    if (!record.ok() && options_.lose) {
      item.is_lost = true;
      Lose(number, 0, extent.decoded_bytes, record.error().message);
      return CeilDiv(extent.decoded_bytes, ChunkBytesFor(extent.dtype));
    }
    if (!record.ok()) return InContext(record.take_error(), number);
    item.record = std::move(record).value();
    if (item.record.head.decoded_bytes != extent.decoded_bytes) {
      return InContext({ErrorCode::kCorrupt, place.record_offset, "its record has another size"}, number);
    }
    chunk_count_.fetch_add(item.record.head.chunk_count, std::memory_order_relaxed);
    return item.record.head.chunk_count;
  }

  void Lose(uint64_t item, uint64_t begin, uint64_t size_bytes, const std::string& reason) {
    const ExtentItem& place = places_[item];
    std::lock_guard lock(lose_mutex_);
    options_.lose({place.file, place.extent, place.offset + begin, size_bytes, reason});
    lost_in_.insert(place.file);
  }

  /// Where a chunk goes of an extent that has no record to say how it is cut.
  MutableByteSpan TargetByDType(const ChunkStep& step) {
    const IndexExtent& extent = ExtentOf(step.item);
    uint64_t chunk_bytes = ChunkBytesFor(extent.dtype);
    uint64_t begin = step.chunk * chunk_bytes;
    return Target(step, places_[step.item].offset + begin, std::min(chunk_bytes, extent.decoded_bytes - begin));
  }

  /// Zeros for a chunk of an extent whose record could not be opened.
  ByteSpan LostChunk(const ChunkStep& step) {
    MutableByteSpan target = TargetByDType(step);
    std::ranges::fill(target, std::byte{0});
    return target;
  }

  /// A chunk of an extent that is made of others.
  Result<ByteSpan> ReadChunkOfOthers(const ChunkStep& step, const IndexExtent& place, size_t worker) {
    MutableByteSpan target = TargetByDType(step);
    uint64_t begin = step.chunk * ChunkBytesFor(ExtentOf(step.item).dtype);
    RangeReader::Lose lose;
    if (options_.lose) {
      lose = [&](uint64_t lost_begin, uint64_t size_bytes, const Error& error) {
        Lose(step.item, lost_begin, size_bytes, error.message);
      };
    }
    Status status = ranges_[worker].Read(place, begin, target, scratch_[worker], lose);
    if (!status.ok()) return InContext(status.take_error(), step.item);
    return ByteSpan(target);
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
    const IndexExtent& extent = ExtentOf(step.item);
    const IndexExtent& place = reader_.Resolve(extent);
    Slot& slot = slots_[step.slot];
    uint64_t file_offset = places_[step.item].offset;
    if (place.place == PlaceKind::kInline) {
      slot.chunk = place.inline_bytes;
      if (!options_.memory.empty()) {
        std::copy(slot.chunk.begin(), slot.chunk.end(), Target(step, file_offset, slot.chunk.size()).begin());
      }
    } else if (place.is_made_of_others()) {
      file_offset += step.chunk * ChunkBytesFor(extent.dtype);
      FLYWEIGHT_ASSIGN(slot.chunk, ReadChunkOfOthers(step, place, worker));
    } else if (ItemOf(step.item).is_lost) {
      file_offset += step.chunk * ChunkBytesFor(extent.dtype);
      slot.chunk = LostChunk(step);
    } else {
      const OpenRecord& record = ItemOf(step.item).record;
      file_offset += step.chunk * record.head.chunk_bytes;
      MutableByteSpan target = Target(step, file_offset, record.head.ChunkDecodedBytes(step.chunk));
      Status status = reader_.DecodeChunk(record, step.chunk, target, scratch_[worker], options_.stored_check);
      if (!status.ok() && options_.lose) {
        Lose(step.item, file_offset - places_[step.item].offset, target.size(), status.error().message);
        std::ranges::fill(target, std::byte{0});
      } else if (!status.ok()) {
        return InContext(status.take_error(), step.item);
      }
      slot.chunk = target;
    }
    if (NeedsDigest(extent) && !slot.chunk.empty()) slot.digest = Sha256(slot.chunk);
    if (options_.visit) FLYWEIGHT_TRY(options_.visit(places_[step.item].file, file_offset, slot.chunk, worker));
    progress_.Add(slot.chunk.size());
    return Status::Ok();
  }

  bool NeedsDigest(const IndexExtent& extent) const {
    return options_.check_digests && extent.digest_algorithm == DigestAlgorithm::kSha256Tree;
  }

  Status HashChunk(const ChunkStep& step) {
    const IndexExtent& extent = ExtentOf(step.item);
    const Slot& slot = slots_[step.slot];
    if (options_.check_sha256 && FileOf(step.item).has_sha256) file_sha256_.Update(slot.chunk);
    if (NeedsDigest(extent)) {
      TreeDigest& digest = ItemOf(step.item).digest;
      if (!slot.chunk.empty()) digest.AddChunk(slot.digest);
      if (step.is_last && digest.Finish() != extent.digest) {
        return InContext({ErrorCode::kChecksumMismatch, 0, "its digest is not the one in the index"}, step.item);
      }
    }
    bool ends_file = step.is_last && places_[step.item].extent + 1 == FileOf(step.item).extents.size();
    return ends_file ? FinishFilesBefore(size_t{places_[step.item].file} + 1) : Status::Ok();
  }

  /// Files up to the one whose last chunk came by are complete; those between them have no extents.
  Status FinishFilesBefore(size_t end) {
    for (; next_file_ < end; ++next_file_) {
      const IndexFile& file = reader_.index().files[next_file_];
      if (options_.check_sha256 && file.has_sha256) FLYWEIGHT_TRY(CheckSha256(next_file_));
      if (options_.finish_file) FLYWEIGHT_TRY(options_.finish_file(next_file_));
    }
    return Status::Ok();
  }

  Status CheckSha256(size_t number) {
    const IndexFile& file = reader_.index().files[number];
    Digest sha256 = Sha256({});
    if (!file.extents.empty()) {
      sha256 = file_sha256_.Finish();
      file_sha256_ = Sha256Stream();
    }
    if (sha256 == file.sha256 || IsLost(number)) return Status::Ok();
    Error error{ErrorCode::kChecksumMismatch, 0, "the decoded file's SHA-256 is not the one in the archive"};
    return reader_.index().is_tree ? WithContext(std::move(error), file.name) : error;
  }

  bool IsLost(size_t file) {
    std::lock_guard lock(lose_mutex_);
    return lost_in_.contains(file);
  }

  const ArchiveReader& reader_;
  FileRange files_;
  const DecodeOptions& options_;
  ThreadPool& pool_;
  ProgressMeter& progress_;

  OrderedRun run_;
  std::vector<ExtentItem> places_;
  std::vector<Item> items_;
  std::vector<Slot> slots_;
  SlotBuffers buffers_{0, 0};
  std::vector<CodecScratch> scratch_;
  std::vector<RangeReader> ranges_;  ///< one a worker
  Sha256Stream file_sha256_;
  size_t next_file_;  ///< whose end was not reached yet
  std::atomic<uint64_t> chunk_count_ = 0;
  std::mutex lose_mutex_;
  std::set<size_t> lost_in_;  ///< files of which something is missing
};

}  // namespace

Result<uint64_t> DecodeArchive(const ArchiveReader& reader, FileRange files, const DecodeOptions& options,
                               ThreadPool& pool, ProgressMeter& progress) {
  return Decoder(reader, files, options, pool, progress).Run();
}

Result<size_t> SingleFileOf(const ArchiveReader& reader) {
  const std::vector<IndexFile>& files = reader.index().files;
  std::optional<size_t> found;
  for (size_t file = 0; file < files.size(); ++file) {
    if (files[file].entry.kind == EntryKind::kDirectory) continue;
    if (found.has_value() || files[file].entry.kind != EntryKind::kFile) {
      return Error{ErrorCode::kInvalidArgument, 0, "the archive holds several files, of which one must be named"};
    }
    found = file;
  }
  if (found.has_value()) return *found;
  return Error{ErrorCode::kInvalidArgument, 0, "the archive holds no file"};
}

}  // namespace flyweight
