#pragma once

#include <cstdint>
#include <vector>

#include "archive/reader.h"
#include "archive/repair.h"
#include "base/file.h"

namespace flyweight {

/// A range of a record and the source that has it right.
struct RecordPiece {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  size_t source = 0;
};

/// The parts of a record, in order.
struct RecordChoice {
  std::vector<RecordPiece> pieces;
  uint64_t first_bytes = 0;  ///< of the frames that are right in the first source
};

/// Which source has which parts of the record right, in order: its head, its frames by their checksums, its chunk
/// table. Head and table are those that the index's record_check names. Parts that no source has are added to `lost`
/// instead. Memory: a frame, a head and the table.
RecordChoice ChoosePieces(const std::vector<const ByteSource*>& sources, const IndexExtent& extent,
                          std::vector<ArchiveRange>& lost);

}  // namespace flyweight
