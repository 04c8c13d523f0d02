#pragma once

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "flyweight/level.h"
#include "pipeline/content.h"
#include "pipeline/patch_bases.h"

namespace flyweight {

/// Makes those extents of place kPatched records again that are smaller as what FindShared finds them to be made of:
/// stretches of themselves or others, or casts. Run after MatchBase and before FindShared, which then finds just that.
/// Bases are outside. The result depends on the content alone. Errors: those of reading.
Status ReleaseShared(const ContentSet& contents, const PatchBases& patches, Level level, ThreadPool& pool,
                     ArchiveIndex& index);

}  // namespace flyweight
