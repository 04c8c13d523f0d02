#pragma once

#include <cstdint>
#include <vector>

#include "codec/plane_coder.h"
#include "codec/record.h"
#include "flyweight/lossy.h"
#include "flyweight/result.h"

namespace flyweight {

/// Side information of a lossy patch (docs/format.md section 3.6.3), behind that of the patch.
struct LossyPatchSide {
  DeltaMethod method = DeltaMethod::kUniform;  ///< for listings: decoding needs none
  bool row_steps = false;                      ///< each row has a step of its own, in the chunks
  bool by_rows = false;                        ///< numbers have contexts by rows
  bool by_columns = false;                     ///< and by columns
  float step = 0;                              ///< of the whole tensor; 0 where rows have their own
  uint64_t column_count = 0;                   ///< 0: chunks are one row
  std::vector<int8_t> columns;                 ///< classes, in quarter octaves

  bool has_contexts() const { return by_rows || by_columns; }

  // What the encoder alone knows.
  float exact_from = 0;      ///< differences of at least this are stored exactly; 0: none for their size
  int32_t most_steps = 0;    ///< no number is larger; 0: no limit
  bool weighs_bits = false;  ///< rounds so that error and size together are least
  bool signs_only = false;   ///< every number but that of no difference is 1 or -1
};

void WriteLossyPatchSide(const LossyPatchSide& side, PlaneScratch& planes, ByteWriter& writer);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<LossyPatchSide> ReadLossyPatchSide(ReadCursor& cursor, const RecordHead& head);

/// Calls visit(run, begin, count, column) for the runs of one row each in a chunk of `count` elements that begins with
/// element `first` of the tensor; without columns the chunk is one run.
template <typename Visit>
void ForEachRow(uint64_t columns, uint64_t first, size_t count, const Visit& visit) {
  size_t column = columns == 0 ? 0 : static_cast<size_t>(first % columns);
  for (size_t begin = 0, run = 0; begin < count; ++run) {
    const size_t left = count - begin;
    const size_t size = columns == 0 || columns - column >= left ? left : static_cast<size_t>(columns) - column;
    visit(run, begin, size, column);
    begin += size;
    column = 0;
  }
}

/// How many runs ForEachRow visits.
size_t RowsOfChunk(uint64_t columns, uint64_t first, size_t count);

}  // namespace flyweight
