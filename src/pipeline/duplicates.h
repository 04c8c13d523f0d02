#pragma once

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "pipeline/content.h"

namespace flyweight {

/// Finds extents whose bytes are those of an earlier one, in the same file or another, and makes them "same as" it.
/// Sizes and samples choose candidates; equality is decided by comparing the bytes themselves. Reads samples of extents
/// that share their size with another, and all of those that are equal. The result depends on the content alone.
/// Errors: those of reading.
Status FindDuplicates(const ContentSet& contents, ArchiveIndex& index, ThreadPool& pool);

}  // namespace flyweight
