#include "codec/dense_side.h"

#include <algorithm>
#include <string>

#include "codec/activity_numbers.h"
#include "codec/float_side.h"
#include "transform/delta_fields/delta_fields.h"

namespace flyweight {
namespace {

constexpr uint8_t kByColumns = 1;

bool ByColumns(const DenseSide& side) {
  return std::any_of(side.columns.begin(), side.columns.end(),
                     [](uint8_t activity) { return activity != kDeltaActivityBias; });
}

}  // namespace

void WriteDenseSide(const DenseSide& side, ByteWriter& writer) {
  const bool by_columns = ByColumns(side);
  writer.Write(static_cast<uint8_t>(by_columns ? kByColumns : 0));
  writer.Write(side.exponent_origin);
  writer.Write(static_cast<uint32_t>(side.column_count));
  if (by_columns) WriteActivities(side.columns, writer);
  WriteNibbleTables(side.tables, writer);
}

Result<DenseSide> ReadDenseSide(ReadCursor& cursor, FloatLayout layout) {
  uint64_t at = cursor.offset();
  DenseSide side;
  side.layout = layout;
  FLYWEIGHT_ASSIGN(uint8_t modes, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(side.exponent_origin, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(side.column_count, cursor.Read<uint32_t>());
  if (modes > kByColumns)
    return Error{ErrorCode::kUnsupportedFeature, at, "dense patch: unknown modes " + std::to_string(modes)};
  if (side.column_count == 0 || side.column_count > kMaxColumns)
    return Error{ErrorCode::kCorrupt, at, "dense patch: rows of " + std::to_string(side.column_count) + " words"};
  side.columns.assign(side.column_count, kDeltaActivityBias);
  if (modes == kByColumns) FLYWEIGHT_TRY(ReadActivities(cursor, side.columns));
  FLYWEIGHT_ASSIGN(side.tables, ReadNibbleTables(cursor));
  side.coder = std::make_unique<const NibbleCoder>(side.tables);
  return side;
}

}  // namespace flyweight
