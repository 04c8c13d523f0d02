#pragma once

#include <vector>

#include "archive/reader.h"
#include "base/bytes.h"

namespace flyweight {

// Extents that are made from a base (docs/format.md section 1.4.3).

/// Whether an archive of this index needs required feature bit 1.
bool HasPatches(const ArchiveIndex& index);

/// Whether bytes that are not in the archive are needed to decode all of it.
bool NeedsBase(const ArchiveIndex& index);

/// Reads what follows the place kind of a patch. Errors: kTruncated, kCorrupt.
Status ReadPatchedPlace(ReadCursor& cursor, IndexExtent& extent);
/// The same of an extent that is the base's.
Status ReadBasePlace(ReadCursor& cursor, IndexExtent& extent);

void WritePatchedPlace(ByteWriter& writer, const IndexExtent& extent);
void WriteBasePlace(ByteWriter& writer, const IndexExtent& extent);

/// Checks the base table and that the bases of patches exist and cannot go round in circles; the records were checked.
/// `extents` are all of the index. Errors: kCorrupt, kLimitExceeded, with the number of the file.
Status CheckPatches(const ArchiveIndex& index, const std::vector<const IndexExtent*>& extents);

}  // namespace flyweight
