#pragma once

#include <cstring>
#include <vector>

#include "codec/dense_runs.h"

namespace flyweight {

// What encoder and decoder of dense chunks share.

/// Arrays of a chunk have so many entries more than words: kernels write whole groups.
inline constexpr size_t kDenseSlack = 512;
/// Of coded planes of escaped words, over the words themselves.
inline constexpr size_t kEscapeOverheadBytes = 64;

/// Activities of a block's words, one run behind the other.
inline void ExpandBlock(const DenseSide& side, uint64_t first_word, std::span<const uint8_t> rows,
                        const DenseBlocks& blocks, uint8_t* activities) {
  for (const DenseRun& run : blocks.runs()) {
    ExpandActivities(side, first_word, rows, run, activities);
    activities += run.count;
  }
}

/// Swaps an escaped word with what stands for it: its sign is whether it differs from that of the prediction.
inline void FlipSign(const std::byte* predicted, size_t word_bytes, std::byte* word) {
  word[word_bytes - 1] ^= predicted[word_bytes - 1] & std::byte{0x80};
}

/// Appends word `number` to the escaped ones.
inline void PushEscape(const std::byte* words, const std::byte* predicted, size_t word_bytes, size_t number,
                       std::vector<std::byte>& escaped) {
  const size_t at = escaped.size();
  escaped.resize(at + word_bytes);
  std::memcpy(escaped.data() + at, words + number * word_bytes, word_bytes);
  FlipSign(predicted + number * word_bytes, word_bytes, escaped.data() + at);
}

}  // namespace flyweight
