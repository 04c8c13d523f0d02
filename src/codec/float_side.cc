#include "codec/float_side.h"

#include <string>

#include "codec/shift_vector.h"

namespace flyweight {
namespace {

constexpr uint8_t kByRows = 1;
constexpr uint8_t kByColumns = 2;

}  // namespace

void WriteFloatSide(const FloatSide& side, ZstdCoder& zstd, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(side.layout));
  writer.Write(static_cast<uint8_t>((side.by_rows ? kByRows : 0) | (side.by_columns ? kByColumns : 0)));
  writer.Write(uint16_t{0});
  writer.Write(static_cast<uint32_t>(side.column_count));
  if (side.by_columns) WriteShiftVector(side.column_shifts, zstd, writer);
  WriteHeadTable(side.table, writer);
}

Result<FloatSide> ReadFloatSide(ReadCursor& cursor, ZstdCoder& zstd) {
  uint64_t at = cursor.offset();
  FloatSide side;
  FLYWEIGHT_ASSIGN(uint8_t layout, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t modes, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint16_t reserved, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(uint32_t columns, cursor.Read<uint32_t>());
  if (layout < static_cast<uint8_t>(FloatLayout::kBF16) || layout > static_cast<uint8_t>(FloatLayout::kF32)) {
    return Error{ErrorCode::kUnsupportedFeature, at, "unknown float layout " + std::to_string(layout)};
  }
  if (modes > (kByRows | kByColumns) || reserved != 0) {
    return Error{ErrorCode::kUnsupportedFeature, at, "unknown re-centring mode " + std::to_string(modes)};
  }
  bool columns_fit = modes == 0 ? columns == 0 : columns >= 1 && columns <= kMaxColumns;
  if (!columns_fit) return Error{ErrorCode::kCorrupt, at, "re-centring by " + std::to_string(columns) + " columns"};
  side.layout = static_cast<FloatLayout>(layout);
  side.by_rows = (modes & kByRows) != 0;
  side.by_columns = (modes & kByColumns) != 0;
  side.column_count = columns;
  if (side.by_columns) {
    side.column_shifts.resize(columns);
    FLYWEIGHT_TRY(ReadShiftVector(cursor, zstd, side.column_shifts));
  }
  FLYWEIGHT_ASSIGN(side.table, ReadHeadTable(cursor));
  side.coder = std::make_unique<HeadCoder>(side.table);
  return side;
}

}  // namespace flyweight
