#pragma once

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "flyweight/lossy.h"
#include "pipeline/content.h"
#include "pipeline/lossy_plan.h"
#include "pipeline/patch_bases.h"

namespace flyweight {

/// Decides which of the extents of place kPatched become lossy patches, and how, from the whole content. One step for
/// the whole model keeps the error of all its tensors together within what was asked for; a tensor that would lose
/// more than a tensor may, one that loses nothing, one that is smaller exactly, and one that others are the same as stay
/// exact. Run after MatchBase. Errors: those of reading.
Status PlanLossyDeltas(const ContentSet& contents, const ArchiveIndex& index, const PatchBases& patches,
                       const LossyDeltaOptions& options, Level level, ThreadPool& pool, LossyPlan& plan);

}  // namespace flyweight
