#pragma once

#include "archive/reader.h"
#include "flyweight/result.h"

namespace flyweight {

/// Checks that the files of an index form one tree (docs/format.md section 1.5): the root first, paths of plain
/// components, every entry in its place behind a parent that is a directory, no path twice, hard links to earlier
/// files. Errors: kCorrupt.
Status CheckTree(const ArchiveIndex& index);

}  // namespace flyweight
