#include "codec/class_side.h"

#include <algorithm>
#include <string>

#include "codec/float_side.h"

namespace flyweight {
namespace {

constexpr uint8_t kByRows = 1;
constexpr uint8_t kByColumns = 2;

}  // namespace

void WriteClasses(std::span<const int8_t> classes, PlaneScratch& planes, ByteWriter& writer) {
  std::vector<std::byte> biased(classes.size());
  for (size_t i = 0; i < classes.size(); ++i) biased[i] = static_cast<std::byte>(classes[i] + kClassLimit);
  std::vector<std::byte> coded(kPlaneHeaderBytes + biased.size());
  coded.resize(EncodePlane(biased, coded, planes));
  writer.Append(coded);
}

Status ReadClasses(ReadCursor& cursor, PlaneScratch& planes, std::span<int8_t> classes) {
  uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, classes.size()));
  // A head has no bytes behind it that a decoder might read.
  std::vector<std::byte> padded(coded.stored.size() + kDecodePaddingBytes);
  std::copy(coded.stored.begin(), coded.stored.end(), padded.begin());
  coded.stored = ByteSpan(padded).first(coded.stored.size());
  FLYWEIGHT_TRY(DecodePlane(coded, std::as_writable_bytes(classes), planes));
  for (int8_t& value : classes) {
    auto biased = static_cast<uint8_t>(value);
    if (biased >= 2 * kClassLimit) return Error{ErrorCode::kCorrupt, at, "a class is out of range"};
    value = static_cast<int8_t>(biased - kClassLimit);
  }
  return {};
}

void WriteClassSide(const ClassSide& side, PlaneScratch& planes, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(side.layout));
  writer.Write(static_cast<uint8_t>((side.by_rows ? kByRows : 0) | (side.by_columns ? kByColumns : 0)));
  writer.Write(static_cast<uint8_t>(side.context_bits));
  writer.Write(side.base);
  writer.Write(static_cast<uint32_t>(side.column_count));
  if (side.by_columns) WriteClasses(side.column_classes, planes, writer);
  WriteFrequencyTables(side.tables->contexts, side.tables->precision_bits, writer);
}

Result<ClassSide> ReadClassSide(ReadCursor& cursor) {
  uint64_t at = cursor.offset();
  ClassSide side;
  FLYWEIGHT_ASSIGN(uint8_t layout, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t modes, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t context_bits, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(side.base, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint32_t columns, cursor.Read<uint32_t>());
  if (layout < static_cast<uint8_t>(ClassLayout::kBF16) || layout > static_cast<uint8_t>(ClassLayout::kF8))
    return Error{ErrorCode::kUnsupportedFeature, at, "unknown layout of classes " + std::to_string(layout)};
  if (modes > (kByRows | kByColumns) || context_bits > kMaxContextBits)
    return Error{ErrorCode::kUnsupportedFeature, at, "unknown mode of classes " + std::to_string(modes)};
  bool columns_fit = modes == 0 ? columns == 0 : columns >= 1 && columns <= kMaxColumns;
  if (!columns_fit) return Error{ErrorCode::kCorrupt, at, "classes of " + std::to_string(columns) + " columns"};
  side.layout = static_cast<ClassLayout>(layout);
  side.by_rows = (modes & kByRows) != 0;
  side.by_columns = (modes & kByColumns) != 0;
  side.context_bits = context_bits;
  side.column_count = columns;
  if (side.by_columns) {
    PlaneScratch planes;
    side.column_classes.resize(columns);
    FLYWEIGHT_TRY(ReadClasses(cursor, planes, side.column_classes));
  }
  FLYWEIGHT_ASSIGN(side.tables, ReadFrequencyTables(cursor));
  if (side.tables->contexts.size() != side.context_count())
    return Error{ErrorCode::kCorrupt, at, "classes: not as many tables as contexts"};
  side.decoder = std::make_shared<const ContextDecoder>(*side.tables);
  return side;
}

}  // namespace flyweight
