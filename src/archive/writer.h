#pragma once

#include <cstdint>
#include <vector>

#include "archive/reader.h"
#include "base/file.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Writes an archive front to back; any sink will do, a pipe too. Calls in this order: Begin, then for each record
/// BeginRecord, AppendFrame for each chunk in order, EndRecord; last Finish with the index, whose record extents carry
/// what EndRecord returned.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(ByteSink& sink) : sink_(sink) {}

  Status Begin();
  Status BeginRecord(const RecordPlan& plan);
  Status AppendFrame(ByteSpan frame, const ChunkEntry& entry);
  /// Where the record lies, for its IndexExtent.
  struct RecordPlace {
    uint64_t offset = 0;
    uint64_t record_bytes = 0;
    uint64_t record_check = 0;
  };
  Result<RecordPlace> EndRecord();
  /// Writes both index sections and the footer. Errors: kInvalidArgument where the index does not describe what was
  /// written; those of the sink.
  Status Finish(const ArchiveIndex& index);

  uint64_t bytes_written() const { return position_; }

 private:
  Status Append(ByteSpan bytes);
  ByteSink& sink_;
  uint64_t position_ = 0;
  uint64_t record_offset_ = 0;
  std::vector<std::byte> record_head_;
  std::vector<ChunkEntry> record_table_;
  uint64_t record_chunk_count_ = 0;
  bool record_open_ = false;
  std::vector<RecordPlace> places_;  ///< of all records, in ascending order of offset
};

}  // namespace flyweight
