#pragma once

#include "archive/reader.h"
#include "pipeline/content.h"

namespace flyweight {

/// Finds stretches of content that were there before, in the same extent or an earlier one, at any distance that is
/// whole elements, and makes the extents that have them extents of pieces (docs/format.md section 1.4.1). Run after
/// FindDuplicates; extents of other places than kRecord are left alone. Equality is decided by comparing bytes. A
/// repeat of 1 MiB is always found (of more in contents over 8 GiB), a shorter one seldom. Reads a sixteenth of the
/// content, and what is equal. Memory: at most 70 MiB. The result depends on the content alone. Errors: those of
/// reading.
Status FindRepeats(const ContentSet& contents, ArchiveIndex& index);

}  // namespace flyweight
