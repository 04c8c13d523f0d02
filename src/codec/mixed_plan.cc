#include <algorithm>

#include "base/checked.h"
#include "codec/mixed_codec.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr uint64_t kMinColumns = 4;
constexpr uint64_t kSampleWords = uint64_t{1} << 17;
constexpr size_t kMaxCandidates = 3;

// Rows of a matrix, of a kernel, of all kernels that make one output: products of the last dimensions.
std::vector<uint64_t> ColumnCandidates(const Shape& shape, uint64_t words_per_element) {
  std::vector<uint64_t> candidates;
  uint64_t columns = words_per_element;
  for (size_t d = shape.size(); d-- > 1 && candidates.size() < kMaxCandidates;) {
    if (shape[d] == 0 || shape[d] > kMaxMixedColumns / columns) break;
    columns *= shape[d];
    bool repeated = shape[d] == 1 && !candidates.empty();
    if (columns >= kMinColumns && !repeated) candidates.push_back(columns);
  }
  return candidates;
}

}  // namespace

Result<uint64_t> PlanMixedColumns(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                  const Shape& shape, CodecScratch::Impl& scratch) {
  std::optional<MixedLayout> layout = MixedLayoutOf(dtype);
  if (!layout) return uint64_t{0};
  std::vector<uint64_t> candidates = ColumnCandidates(shape, dtype == DType::kC64 ? 2 : 1);
  if (candidates.empty()) return uint64_t{0};
  const uint64_t word_count = size_bytes / layout->word_bytes;
  if (candidates.size() == 1 || word_count < kMinMixedWords) return candidates.front();

  const uint64_t sample_words = std::min(word_count, kSampleWords);
  const uint64_t first_word = (word_count - sample_words) / 2;
  scratch.sample.Resize(sample_words * layout->word_bytes);
  scratch.trial.Resize(sample_words * layout->word_bytes);
  MutableByteSpan sample(scratch.sample.data(), sample_words * layout->word_bytes);
  FLYWEIGHT_TRY(source.ReadAt(offset + first_word * layout->word_bytes, sample));
  uint64_t best = candidates.front();
  size_t best_bytes = sample.size();
  for (uint64_t columns : candidates) {
    size_t bytes =
        EncodeMixedChunk(*layout, {columns, first_word}, sample, {scratch.trial.data(), best_bytes}, scratch);
    if (bytes != 0 && bytes < best_bytes) best = columns, best_bytes = bytes;
  }
  return best;
}

}  // namespace flyweight
