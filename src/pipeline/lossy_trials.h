#pragma once

#include <optional>
#include <vector>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "flyweight/level.h"
#include "flyweight/lossy.h"
#include "lossy/error_sums.h"
#include "pipeline/content.h"
#include "pipeline/extent_items.h"

namespace flyweight {

/// An extent and what to try on it.
struct LossyTrial {
  uint64_t number = 0;  ///< of the extent, over all files
  std::vector<LossyChoice> choices;
};

/// What came of one choice.
struct TrialResult {
  ErrorSums errors;
  bool is_exact = true;  ///< every byte came back
};

/// The inputs of trials and estimates.
struct LossySubject {
  const ContentSet& contents;
  const ArchiveIndex& index;
  const std::vector<ExtentItem>& places;  ///< of all extents
  ThreadPool& pool;
  Level level = Level::kBalanced;  ///< of what stays lossless

  const IndexExtent& ExtentOf(uint64_t number) const {
    return index.files[places[number].file].extents[places[number].extent];
  }
};

/// The numbers of up to `most` chunks of `chunk_count`, spread evenly.
std::vector<uint64_t> SampleChunks(uint64_t chunk_count, uint64_t most);

/// Restores the trials' extents, or a sample of at most `most_chunks` chunks of each, and measures what is lost. One
/// result for each choice of each trial. Errors: those of reading.
Result<std::vector<std::vector<TrialResult>>> RunTrials(const LossySubject& subject,
                                                        const std::vector<LossyTrial>& trials, uint64_t most_chunks);

/// One way to store an extent: lossless where there is no choice.
struct SizeQuestion {
  uint64_t number = 0;
  std::optional<LossyChoice> choice;
};

/// Estimates the bytes of records by encoding at most `most_chunks` chunks of each. Errors: those of reading.
Result<std::vector<uint64_t>> EstimateSizes(const LossySubject& subject, const std::vector<SizeQuestion>& questions,
                                            uint64_t most_chunks);

}  // namespace flyweight
