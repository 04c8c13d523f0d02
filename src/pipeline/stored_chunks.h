#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "pipeline/progress_meter.h"

namespace flyweight {

/// The chunks that are stored, each once.
class StoredChunks {
 public:
  explicit StoredChunks(const ArchiveReader& reader) : reader_(reader) {
    // Records that several extents share lie where an earlier one lay.
    std::unordered_set<uint64_t> seen;
    for (const IndexFile& file : reader.index().files) {
      for (const IndexExtent& extent : file.extents) {
        if (extent.has_record() && seen.insert(extent.record_offset).second) records_.push_back(&extent);
      }
    }
  }

  /// Calls `check` for chunks that `is_chosen` picks, on all threads. Returns how many there are, and counts the
  /// chosen.
  template <typename IsChosen, typename Check>
  Result<uint64_t> Visit(ThreadPool& pool, ProgressMeter& progress, const IsChosen& is_chosen, const Check& check,
                         uint64_t& chosen_count) {
    std::atomic<uint64_t> chosen = 0;
    uint64_t chunk_count = 0;
    for (const IndexExtent* extent : records_) {
      Result<OpenRecord> opened = reader_.OpenRecordOf(*extent);
      if (!opened.ok()) return WithContext(opened.take_error(), NameOf(*extent));
      const OpenRecord& record = opened.value();
      uint64_t first_number = chunk_count;
      chunk_count += record.head.chunk_count;
      Status status = pool.ParallelFor(static_cast<size_t>(record.head.chunk_count), [&](size_t chunk, size_t worker) {
        progress.Add(record.head.ChunkDecodedBytes(chunk));
        if (!is_chosen(first_number + chunk)) return Status::Ok();
        chosen.fetch_add(1, std::memory_order_relaxed);
        return check(*extent, record, chunk, worker);
      });
      if (!status.ok()) return WithContext(status.take_error(), NameOf(*extent));
      progress.Report();
    }
    chosen_count = chosen.load();
    return chunk_count;
  }

 private:
  static std::string NameOf(const IndexExtent& extent) {
    return extent.is_tensor ? "tensor '" + extent.name + "'"
                            : "the record at byte " + std::to_string(extent.record_offset);
  }

  const ArchiveReader& reader_;
  std::vector<const IndexExtent*> records_;
};

/// Checks the stored bytes of all chunks against their checksums and decodes nothing, so that a patch needs no base.
/// Returns how many there are. Errors: those of the reader.
inline Result<uint64_t> ScrubStoredChunks(const ArchiveReader& reader, ThreadPool& pool, ProgressMeter& progress) {
  StoredChunks chunks(reader);
  auto all = [](uint64_t) { return true; };
  auto scrub = [&](const IndexExtent&, const OpenRecord& record, uint64_t chunk, size_t) {
    return reader.ScrubChunk(record, chunk);
  };
  uint64_t checked_count = 0;
  return chunks.Visit(pool, progress, all, scrub, checked_count);
}

}  // namespace flyweight
