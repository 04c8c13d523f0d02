#include "container/pickle_opcodes.h"

#include <array>

namespace flyweight {
namespace {

enum class Operand : uint8_t {
  kNoSuchOpcode,
  kNothing,
  kU8,
  kU16,
  kI32,
  kU32,
  kU64,
  kLine,
  kTwoLines,
  kCountedU8,   ///< a length of one byte, then that many bytes
  kCountedI32,  ///< a negative length is an error
  kCountedU32,
  kCountedU64,
};

using OperandTable = std::array<Operand, 256>;

constexpr void SetAll(OperandTable& table, Operand operand, std::initializer_list<PickleCode> codes) {
  for (PickleCode code : codes) table[static_cast<size_t>(code)] = operand;
}

constexpr OperandTable MakeOperandTable() {
  using enum PickleCode;
  OperandTable table{};
  SetAll(
      table, Operand::kNothing,
      {kMark,       kStop,      kPop,       kPopMark,     kDup,     kNone,       kBinPersId,     kReduce,   kAppend,
       kBuild,      kDict,      kEmptyDict, kAppends,     kList,    kEmptyList,  kObj,           kSetItem,  kTuple,
       kEmptyTuple, kSetItems,  kNewObj,    kTuple1,      kTuple2,  kTuple3,     kNewTrue,       kNewFalse, kEmptySet,
       kAddItems,   kFrozenSet, kNewObjEx,  kStackGlobal, kMemoize, kNextBuffer, kReadOnlyBuffer});
  SetAll(table, Operand::kU8, {kBinInt1, kBinGet, kBinPut, kProto, kExt1});
  SetAll(table, Operand::kU16, {kBinInt2, kExt2});
  SetAll(table, Operand::kI32, {kBinInt, kExt4});
  SetAll(table, Operand::kU32, {kLongBinGet, kLongBinPut});
  SetAll(table, Operand::kU64, {kBinFloat, kFrame});
  SetAll(table, Operand::kLine, {kFloat, kInt, kLong, kPersId, kString, kUnicode, kGet, kPut});
  SetAll(table, Operand::kTwoLines, {kGlobal, kInst});
  SetAll(table, Operand::kCountedU8, {kShortBinString, kShortBinBytes, kShortBinUnicode, kLong1});
  SetAll(table, Operand::kCountedI32, {kBinString, kLong4});
  SetAll(table, Operand::kCountedU32, {kBinUnicode, kBinBytes});
  SetAll(table, Operand::kCountedU64, {kBinUnicode8, kBinBytes8, kByteArray8});
  return table;
}

constexpr OperandTable kOperands = MakeOperandTable();

template <typename T>
Result<PickleOp> WithNumber(ReadCursor& cursor, PickleOp op) {
  FLYWEIGHT_ASSIGN(T number, cursor.Read<T>());
  op.number = static_cast<int64_t>(number);
  return op;
}

template <typename Length>
Result<PickleOp> WithCountedText(ReadCursor& cursor, PickleOp op) {
  FLYWEIGHT_ASSIGN(Length length, cursor.Read<Length>());
  if (std::is_signed_v<Length> && length < 0)
    return Error{ErrorCode::kCorrupt, cursor.offset(), "a pickle's text has a negative length"};
  FLYWEIGHT_ASSIGN(ByteSpan text, cursor.Take(static_cast<uint64_t>(length)));
  op.text = AsText(text);
  return op;
}

Result<std::string_view> TakeLine(ReadCursor& cursor) {
  ReadCursor ahead = cursor;
  std::string_view rest = AsText(ahead.Take(ahead.remaining()).value());
  size_t length = rest.find('\n');
  if (length == std::string_view::npos)
    return Error{ErrorCode::kTruncated, cursor.offset(), "a line of a pickle does not end"};
  FLYWEIGHT_ASSIGN(ByteSpan line, cursor.Take(length + 1));
  return AsText(line).substr(0, length);
}

Result<PickleOp> WithLines(ReadCursor& cursor, PickleOp op, bool two) {
  FLYWEIGHT_ASSIGN(op.text, TakeLine(cursor));
  if (!two) return op;
  FLYWEIGHT_ASSIGN(op.second_text, TakeLine(cursor));
  return op;
}

}  // namespace

Result<PickleOp> ReadPickleOp(ReadCursor& cursor) {
  const uint64_t begin = cursor.offset();
  FLYWEIGHT_ASSIGN(uint8_t code, cursor.Read<uint8_t>());
  PickleOp op{.code = static_cast<PickleCode>(code), .text = {}, .second_text = {}};
  switch (kOperands[code]) {
    case Operand::kNoSuchOpcode:
      return Error{ErrorCode::kCorrupt, begin, "no pickle protocol has opcode " + std::to_string(code)};
    case Operand::kNothing:
      return op;
    case Operand::kU8:
      return WithNumber<uint8_t>(cursor, op);
    case Operand::kU16:
      return WithNumber<uint16_t>(cursor, op);
    case Operand::kI32:
      return WithNumber<int32_t>(cursor, op);
    case Operand::kU32:
      return WithNumber<uint32_t>(cursor, op);
    case Operand::kU64:
      return WithNumber<uint64_t>(cursor, op);
    case Operand::kLine:
      return WithLines(cursor, op, false);
    case Operand::kTwoLines:
      return WithLines(cursor, op, true);
    case Operand::kCountedU8:
      return WithCountedText<uint8_t>(cursor, op);
    case Operand::kCountedI32:
      return WithCountedText<int32_t>(cursor, op);
    case Operand::kCountedU32:
      return WithCountedText<uint32_t>(cursor, op);
    case Operand::kCountedU64:
      return WithCountedText<uint64_t>(cursor, op);
  }
  return Error{ErrorCode::kInternal, begin, "an operand of no kind"};
}

}  // namespace flyweight
