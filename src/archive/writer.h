#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "archive/header.h"
#include "archive/reader.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Parity for an archive (docs/format.md section 7).
struct RecoveryOptions {
  uint32_t permille = 0;  ///< how much of the archive may be lost, in thousandths; 0 = no parity
  ThreadPool* pool = nullptr;
  /// A source over everything that was appended to the sink so far, or more. Called once, after the first index
  /// section: whoever buffers in front of the sink flushes first. The source must live until Finish returns.
  std::function<Result<std::unique_ptr<ByteSource>>()> read_back;
  std::string scratch_directory;  ///< for large parity; empty = TMPDIR or /tmp
};

/// Writes an archive front to back; any sink will do, a pipe too. Calls in this order: Begin, then for each record
/// BeginRecord, AppendFrame for each chunk in order, EndRecord; last Finish with the index, whose record extents carry
/// what EndRecord returned.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(ByteSink& sink) : sink_(sink) {}

  /// `header` says what Finish must agree with: which features the archive needs.
  Status Begin(const ArchiveHeader& header = {});
  Status BeginRecord(const RecordPlan& plan);
  Status AppendFrame(ByteSpan frame, const ChunkEntry& entry);
  /// Where the record lies, for its IndexExtent.
  struct RecordPlace {
    uint64_t offset = 0;
    uint64_t record_bytes = 0;
    uint64_t record_check = 0;
  };
  Result<RecordPlace> EndRecord();
  /// Writes both index sections and the footer, and between the sections the parity that `recovery` asks for; then the
  /// header must have kOptionalParity set, and only then. Errors: kInvalidArgument where the index does not describe
  /// what was written; those of the sink, of reading it back and of temporary files.
  Status Finish(const ArchiveIndex& index, const RecoveryOptions& recovery = {});

  uint64_t bytes_written() const { return position_; }
  /// xxh3 of the index body that Finish wrote.
  uint64_t index_hash() const { return index_hash_; }

 private:
  Status Append(ByteSpan bytes);
  Result<std::vector<std::byte>> MakeIndexSection(const ArchiveIndex& index);
  Status FinishWithParity(ByteSpan section, const RecoveryOptions& recovery);
  ByteSink& sink_;
  ArchiveHeader header_;
  uint64_t position_ = 0;
  uint64_t index_hash_ = 0;
  uint64_t record_offset_ = 0;
  std::vector<std::byte> record_head_;
  std::vector<ChunkEntry> record_table_;
  uint64_t record_chunk_count_ = 0;
  bool record_open_ = false;
  std::vector<RecordPlace> places_;  ///< of all records, in ascending order of offset
};

}  // namespace flyweight
