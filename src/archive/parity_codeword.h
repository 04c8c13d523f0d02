#pragma once

#include <functional>
#include <vector>

#include "archive/parity_layout.h"
#include "base/aligned_buffer.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "erasure/reed_solomon.h"

namespace flyweight {

/// One codeword's columns [begin, begin + width) of every block: what encoding and repair work on at a time. Columns
/// are cut into slices that fit into the second-level cache, and slices are what threads share.
struct ColumnRange {
  uint64_t codeword = 0;
  size_t begin = 0;
};

/// Buffers and loops for the codewords of a layout. Memory: under 40 MiB and one more a thread.
class CodewordWorker {
 public:
  CodewordWorker(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool);

  const ReedSolomon& code() const { return code_; }
  size_t width() const { return width_; }  ///< of a range
  size_t ranges_per_codeword() const { return static_cast<size_t>(layout_.block_bytes) / width_; }
  /// True where a range is whole blocks, so that what is read can be hashed on the way.
  bool reads_whole_blocks() const { return width_ == layout_.block_bytes; }

  /// Called with a block's bytes, padding left out, on any worker.
  using BlockCallback = std::function<void(uint64_t block, ByteSpan bytes)>;

  /// Starts anew with a sum of zeros.
  void Clear();
  /// Reads a group of data rows (1 or higher) and adds it to the sum. `lost(row)`, where it is given, says which rows
  /// count as zeros and are not read. Errors: those of reading.
  Status AbsorbData(const ColumnRange& range, size_t group, const std::function<bool(uint64_t row)>& lost,
                    const BlockCallback& on_block);
  /// The same for the parity rows.
  Status AbsorbParity(const ColumnRange& range, const std::function<bool(uint64_t row)>& lost);

  /// Turns the sum into parity.
  Status FinishParity();
  /// Turns the sum into what Recover needs.
  Status Solve(const ErasureSolver& solver);
  /// Computes a group's lost rows; afterwards Row gives them.
  Status Recover(const ErasureSolver& solver, size_t group);

  /// Row `row` of the sum, as FinishParity left it.
  void CopySumRow(size_t row, MutableByteSpan target) const;
  /// Row `row` of the group that was recovered last.
  void CopyRow(size_t row, MutableByteSpan target) const;

 private:
  Status ReadRow(const ColumnRange& range, uint64_t row, std::byte* target, const BlockCallback& on_block) const;
  Status AbsorbRows(size_t group);
  std::byte* SumSlice(size_t slice) { return sum_.data() + slice * slice_bytes_; }

  const ParityLayout& layout_;
  const ByteSource& archive_;
  ThreadPool& pool_;
  ReedSolomon code_;
  size_t width_;
  size_t slice_width_;
  size_t slice_bytes_;               ///< group_rows * slice_width
  AlignedBuffer rows_;               ///< group_rows rows of width_
  AlignedBuffer sum_;                ///< slices of group_rows rows of slice_width_
  std::vector<AlignedBuffer> work_;  ///< two slices a thread
};

}  // namespace flyweight
