#pragma once

#include "archive/reader.h"
#include "pipeline/content.h"

namespace flyweight {

/// Finds BF16 and F16 tensors whose elements are exactly those of an F32 tensor of as many elements, rounded or
/// truncated, and makes them casts of it (docs/format.md section 1.4.2). Run after FindDuplicates and before
/// FindRepeats; only extents of place kRecord take part. Samples choose candidates; what decides is comparing the bytes
/// that the cast gives. Reads samples of tensors that have a partner of fitting size, and all of those that are casts.
/// The result depends on the content alone. Errors: those of reading.
Status FindCasts(const ContentSet& contents, ArchiveIndex& index);

}  // namespace flyweight
