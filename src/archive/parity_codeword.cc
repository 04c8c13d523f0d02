#include "archive/parity_codeword.h"

#include <algorithm>
#include <cstring>

#include "erasure/gf16_kernels.h"

namespace flyweight {
namespace {

constexpr size_t kRangeMaxBytes = size_t{16} << 20;  ///< of all rows of a group
constexpr size_t kSliceMaxBytes = size_t{512} << 10;
constexpr size_t kRowsAJob = 64;

size_t WidthFor(uint64_t block_bytes, size_t group_rows) {
  auto width = static_cast<size_t>(block_bytes);
  while (width > kGfPieceBytes && width * group_rows > kRangeMaxBytes) width /= 2;
  return width;
}

/// Slices are small enough for the cache, and as many as there are threads where that can be.
size_t SliceWidthFor(size_t width, size_t group_rows, size_t thread_count) {
  size_t slice_width = width;
  while (slice_width > kGfPieceBytes &&
         (slice_width * group_rows > kSliceMaxBytes || width / slice_width < thread_count)) {
    slice_width /= 2;
  }
  return slice_width;
}

}  // namespace

CodewordWorker::CodewordWorker(const ParityLayout& layout, const ByteSource& archive, ThreadPool& pool)
    : layout_(layout),
      archive_(archive),
      pool_(pool),
      code_(static_cast<size_t>(layout.data_rows), static_cast<size_t>(layout.parity_rows)),
      width_(WidthFor(layout.block_bytes, code_.group_rows())),
      slice_width_(SliceWidthFor(width_, code_.group_rows(), pool.thread_count())),
      slice_bytes_(code_.group_rows() * slice_width_),
      rows_(code_.group_rows() * width_),
      sum_(code_.group_rows() * width_),
      work_(pool.thread_count()) {
  for (AlignedBuffer& work : work_) work.Resize(slice_bytes_);
}

void CodewordWorker::Clear() { std::memset(sum_.data(), 0, sum_.size()); }

Status CodewordWorker::ReadRow(const ColumnRange& range, uint64_t row, std::byte* target,
                               const BlockCallback& on_block) const {
  uint64_t block = layout_.NumberAt(row, range.codeword);
  uint64_t block_bytes = block < layout_.block_count ? layout_.BlockBytes(block) : 0;
  size_t there =
      block_bytes > range.begin ? static_cast<size_t>(std::min<uint64_t>(block_bytes - range.begin, width_)) : 0;
  if (there > 0) FLYWEIGHT_TRY(archive_.ReadAt(layout_.BlockOffset(block) + range.begin, {target, there}));
  std::memset(target + there, 0, width_ - there);
  if (on_block && there > 0) on_block(block, {target, there});
  return Status::Ok();
}

Status CodewordWorker::AbsorbRows(size_t group) {
  return pool_.ParallelFor(width_ / slice_width_, [&](size_t slice, size_t worker) {
    std::byte* work = work_[worker].data();
    for (size_t r = 0; r < code_.group_rows(); ++r) {
      std::memcpy(work + r * slice_width_, rows_.data() + r * width_ + slice * slice_width_, slice_width_);
    }
    code_.Absorb(group, work, slice_width_, SumSlice(slice));
    return Status::Ok();
  });
}

Status CodewordWorker::AbsorbData(const ColumnRange& range, size_t group, const std::function<bool(uint64_t row)>& lost,
                                  const BlockCallback& on_block) {
  size_t group_rows = code_.group_rows();
  uint64_t first_row = (group - 1) * group_rows;
  auto end_row = std::min<uint64_t>(first_row + group_rows, layout_.data_rows);
  size_t count = static_cast<size_t>(end_row - first_row);
  Status read = pool_.ParallelFor((count + kRowsAJob - 1) / kRowsAJob, [&](size_t job, size_t) -> Status {
    for (size_t r = job * kRowsAJob; r < std::min(count, (job + 1) * kRowsAJob); ++r) {
      std::byte* target = rows_.data() + r * width_;
      if (lost && lost(first_row + r)) {
        std::memset(target, 0, width_);
      } else {
        FLYWEIGHT_TRY(ReadRow(range, first_row + r, target, on_block));
      }
    }
    return Status::Ok();
  });
  FLYWEIGHT_TRY(std::move(read));
  std::memset(rows_.data() + count * width_, 0, (group_rows - count) * width_);
  return AbsorbRows(group);
}

Status CodewordWorker::AbsorbParity(const ColumnRange& range, const std::function<bool(uint64_t row)>& lost) {
  std::memset(rows_.data(), 0, rows_.size());
  for (uint64_t row = 0; row < layout_.parity_rows; ++row) {
    if (lost(row)) continue;
    uint64_t offset = layout_.ParityOffset(layout_.NumberAt(row, range.codeword)) + range.begin;
    FLYWEIGHT_TRY(archive_.ReadAt(offset, {rows_.data() + row * width_, width_}));
  }
  return AbsorbRows(0);
}

Status CodewordWorker::FinishParity() {
  return pool_.ParallelFor(width_ / slice_width_, [&](size_t slice, size_t) {
    code_.FinishParity(SumSlice(slice), slice_width_);
    return Status::Ok();
  });
}

Status CodewordWorker::Solve(const ErasureSolver& solver) {
  return pool_.ParallelFor(width_ / slice_width_, [&](size_t slice, size_t worker) {
    solver.Solve(SumSlice(slice), slice_width_, work_[worker].data());
    return Status::Ok();
  });
}

Status CodewordWorker::Recover(const ErasureSolver& solver, size_t group) {
  return pool_.ParallelFor(width_ / slice_width_, [&](size_t slice, size_t worker) {
    std::byte* work = work_[worker].data();
    solver.Recover(group, SumSlice(slice), slice_width_, work);
    for (size_t position : solver.LostIn(group)) {
      size_t r = position - group * code_.group_rows();
      std::memcpy(rows_.data() + r * width_ + slice * slice_width_, work + r * slice_width_, slice_width_);
    }
    return Status::Ok();
  });
}

void CodewordWorker::CopySumRow(size_t row, MutableByteSpan target) const {
  for (size_t at = 0; at < width_; at += slice_width_) {
    std::memcpy(target.data() + at, sum_.data() + at / slice_width_ * slice_bytes_ + row * slice_width_, slice_width_);
  }
}

void CodewordWorker::CopyRow(size_t row, MutableByteSpan target) const {
  std::memcpy(target.data(), rows_.data() + row * width_, width_);
}

}  // namespace flyweight
