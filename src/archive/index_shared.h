#pragma once

#include <vector>

#include "archive/reader.h"
#include "base/bytes.h"

namespace flyweight {

// Extents whose bytes follow from the records of others (docs/format.md sections 1.4.1 and 1.4.2).

/// Whether an archive of this index needs required feature bit 5.
bool HasSharedPlaces(const ArchiveIndex& index);

/// Reads what follows the place kind of an extent of pieces. Errors: kTruncated, kLimitExceeded.
Status ReadPiecesPlace(ReadCursor& cursor, IndexExtent& extent);
/// The same of a cast. Errors: kTruncated, kUnsupportedFeature for a method that is not known.
Status ReadCastPlace(ReadCursor& cursor, IndexExtent& extent);

void WritePiecesPlace(ByteWriter& writer, const IndexExtent& extent);
void WriteCastPlace(ByteWriter& writer, const IndexExtent& extent);

/// Checks that the pieces of an extent lie in records and add up to its bytes. `extents` are all up to and including
/// this one. Its own record was checked. Errors: kCorrupt.
Status CheckPieces(const IndexExtent& extent, const std::vector<const IndexExtent*>& extents);

/// Checks that a cast is of a tensor that gives its bytes. `extents` are all of the index. Errors: kCorrupt.
Status CheckCast(const IndexExtent& extent, const std::vector<const IndexExtent*>& extents);

}  // namespace flyweight
