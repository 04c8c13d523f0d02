#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/dense_side.h"

namespace flyweight {

/// Words of a chunk that are coded, one behind the other: those of rows with an activity.
struct DenseRun {
  uint32_t begin = 0;  ///< from the chunk's first word
  uint32_t count = 0;
};

/// How many rows a chunk of `word_count` words from `first_word` of the tensor touches.
uint64_t DenseRowsTouched(const DenseSide& side, uint64_t first_word, size_t word_count);

/// Lists the runs of a chunk; `rows` are the activities of the rows it touches. Returns the words in them.
size_t ListDenseRuns(const DenseSide& side, uint64_t first_word, size_t word_count, std::span<const uint8_t> rows,
                     std::vector<DenseRun>& runs);

/// Activities of `run`'s words.
void ExpandActivities(const DenseSide& side, uint64_t first_word, std::span<const uint8_t> rows, DenseRun run,
                      uint8_t* activities);

/// Cuts runs into blocks of kDenseBlockWords words, the last one shorter.
class DenseBlocks {
 public:
  static constexpr size_t kWords = 4096;

  explicit DenseBlocks(const std::vector<DenseRun>& runs) : runs_(runs) {}

  /// The next block's runs, of which those but the last may be shorter than what they are cut from; false after the
  /// last.
  bool Next();

  std::span<const DenseRun> runs() const { return block_; }
  size_t word_count() const { return word_count_; }
  /// Whether each run but the last is whole groups of kDeltaGroup words.
  bool aligned() const { return aligned_; }

 private:
  const std::vector<DenseRun>& runs_;
  std::vector<DenseRun> block_;
  size_t next_run_ = 0;
  uint32_t taken_ = 0;  ///< words of it that are gone
  size_t word_count_ = 0;
  bool aligned_ = true;
};

}  // namespace flyweight
