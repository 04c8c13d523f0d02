#pragma once

#include "archive/reader.h"
#include "flyweight/level.h"
#include "pipeline/content.h"

namespace flyweight {

/// Finds what extents can share with others but whole content: casts, then repeats. Run after FindDuplicates. Does
/// nothing for Level::kFast. Errors: those of reading.
Status FindShared(const ContentSet& contents, ArchiveIndex& index, Level level);

}  // namespace flyweight
