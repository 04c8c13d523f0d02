#include "codec/lossy_patch_side.h"

#include <bit>
#include <cmath>
#include <string>

#include "codec/class_side.h"
#include "lossy/delta_steps.h"

namespace flyweight {
namespace {

constexpr uint8_t kRowSteps = 1;
constexpr uint8_t kByRows = 2;
constexpr uint8_t kByColumns = 4;
constexpr uint64_t kMostColumns = uint64_t{1} << 20;

}  // namespace

void WriteLossyPatchSide(const LossyPatchSide& side, PlaneScratch& planes, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>((side.row_steps ? kRowSteps : 0) | (side.by_rows ? kByRows : 0) |
                                    (side.by_columns ? kByColumns : 0)));
  writer.Write(static_cast<uint8_t>(side.method));
  writer.Write(uint16_t{0});
  writer.Write(std::bit_cast<uint32_t>(side.step));
  writer.Write(static_cast<uint32_t>(side.column_count));
  if (side.by_columns) WriteClasses(side.columns, planes, writer);
}

Result<LossyPatchSide> ReadLossyPatchSide(ReadCursor& cursor, const RecordHead& head) {
  uint64_t at = cursor.offset();
  LossyPatchSide side;
  FLYWEIGHT_ASSIGN(uint8_t modes, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t method, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint16_t reserved, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(uint32_t step, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t columns, cursor.Read<uint32_t>());
  bool is_known = modes <= (kRowSteps | kByRows | kByColumns) && reserved == 0 &&
                  method >= static_cast<uint8_t>(DeltaMethod::kUniform) &&
                  method <= static_cast<uint8_t>(DeltaMethod::kOneBit);
  if (!is_known) return Error{ErrorCode::kUnsupportedFeature, at, "lossy patch: unknown modes or method"};
  side.method = static_cast<DeltaMethod>(method);
  side.row_steps = (modes & kRowSteps) != 0;
  side.by_rows = (modes & kByRows) != 0;
  side.by_columns = (modes & kByColumns) != 0;
  side.step = std::bit_cast<float>(step);
  side.column_count = columns;
  if (!CanBeLossyDelta(head.dtype)) return Error{ErrorCode::kCorrupt, at, "lossy patch: not of this dtype"};
  if (!std::isfinite(side.step) || std::signbit(side.step) || (side.row_steps && side.step != 0))
    return Error{ErrorCode::kCorrupt, at, "lossy patch: the step is none"};
  if (columns > kMostColumns || (columns == 0 && side.by_columns))
    return Error{ErrorCode::kCorrupt, at, "lossy patch: rows of " + std::to_string(columns) + " columns"};
  if (side.by_columns) {
    PlaneScratch planes;
    side.columns.resize(columns);
    FLYWEIGHT_TRY(ReadClasses(cursor, planes, side.columns));
  }
  return side;
}

size_t RowsOfChunk(uint64_t columns, uint64_t first, size_t count) {
  if (count == 0) return 0;
  if (columns == 0) return 1;
  return static_cast<size_t>((first % columns + count + columns - 1) / columns);
}

}  // namespace flyweight
