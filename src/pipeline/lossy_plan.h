#pragma once

#include <optional>
#include <vector>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "codec/lossy_patch_record.h"
#include "flyweight/lossy.h"
#include "pipeline/content.h"

namespace flyweight {

/// Which extents of an archive become lossy, and how.
struct LossyPlan {
  std::vector<std::optional<LossyChoice>> choices;  ///< one an extent, numbered over all files; empty: none is lossy

  /// How extents become lossy patches, numbered in the same way; empty: none does.
  std::vector<std::optional<LossyDeltaChoice>> deltas = {};

  bool any() const;
  std::optional<LossyDeltaChoice> DeltaOf(uint64_t extent_number) const {
    return deltas.empty() ? std::nullopt : deltas[static_cast<size_t>(extent_number)];
  }
  std::optional<LossyChoice> Of(uint64_t extent_number) const {
    return choices.empty() ? std::nullopt : choices[static_cast<size_t>(extent_number)];
  }
};

/// Quantised blocks are for tensors of at least this many elements, in at least two dimensions longer than 1: norms and
/// biases are small and matter most.
inline constexpr uint64_t kMinQuantisedElements = 4096;

/// Decides what the options ask for, from the whole content. Only tensors of F64, F32, F16 or BF16 that become smaller
/// are lossy, and none that would lose nothing. A tensor that a method cannot hold stays lossless, or gets the next
/// that can: F16 becomes BF16 where an element would overflow, or where that loses less; quantised blocks take neither
/// NaN nor infinities. Extents that share bytes with a lossy one but are no such tensor stop sharing. Errors: those of
/// reading; kInvalidArgument where a budget cannot be met.
/// `level` is that of the archive: a budget counts with what lossless tensors take at it.
Result<LossyPlan> PlanLossy(const ContentSet& contents, ArchiveIndex& index, const LossyOptions& options, Level level,
                            ThreadPool& pool);

}  // namespace flyweight
