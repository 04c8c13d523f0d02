#include "codec/dense_runs.h"

#include <algorithm>

#include "transform/delta_fields/delta_fields.h"

namespace flyweight {

uint64_t DenseRowsTouched(const DenseSide& side, uint64_t first_word, size_t word_count) {
  if (word_count == 0) return 0;
  return (first_word + word_count - 1) / side.column_count - first_word / side.column_count + 1;
}

size_t ListDenseRuns(const DenseSide& side, uint64_t first_word, size_t word_count, std::span<const uint8_t> rows,
                     std::vector<DenseRun>& runs) {
  runs.clear();
  size_t listed = 0, begin = 0;
  uint64_t left_in_row = side.column_count - first_word % side.column_count;
  for (uint8_t activity : rows) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(left_in_row, word_count - begin));
    left_in_row = side.column_count;
    if (activity != 0) {
      if (!runs.empty() && runs.back().begin + runs.back().count == begin) {
        runs.back().count += static_cast<uint32_t>(count);
      } else {
        runs.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(count)});
      }
      listed += count;
    }
    begin += count;
  }
  return listed;
}

void ExpandActivities(const DenseSide& side, uint64_t first_word, std::span<const uint8_t> rows, DenseRun run,
                      uint8_t* activities) {
  const uint64_t word = first_word + run.begin;
  uint64_t row = word / side.column_count - first_word / side.column_count;
  uint64_t column = word % side.column_count;
  for (size_t done = 0; done < run.count; ++row, column = 0) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(side.column_count - column, run.count - done));
    AddActivity(side.columns.data() + column, count, rows[row], activities + done);
    done += count;
  }
}

bool DenseBlocks::Next() {
  block_.clear();
  word_count_ = 0;
  aligned_ = true;
  while (next_run_ < runs_.size() && word_count_ < kWords) {
    const DenseRun& run = runs_[next_run_];
    if (!block_.empty() && block_.back().count % kDeltaGroup != 0) aligned_ = false;
    const uint32_t count = std::min(run.count - taken_, static_cast<uint32_t>(kWords - word_count_));
    block_.push_back({run.begin + taken_, count});
    word_count_ += count;
    taken_ += count;
    if (taken_ < run.count) continue;
    ++next_run_;
    taken_ = 0;
  }
  return word_count_ != 0;
}

}  // namespace flyweight
