#include "container/onnx_tensor.h"

#include <optional>

#include "base/checked.h"

namespace flyweight {
namespace {

constexpr size_t kMaxRank = 255;
constexpr uint64_t kMaxNameBytes = 65535;

enum TensorField : uint32_t {
  kDims = 1,
  kDataType = 2,
  kFloatData = 4,
  kInt32Data = 5,
  kStringData = 6,
  kInt64Data = 7,
  kName = 8,
  kRawData = 9,
  kDoubleData = 10,
  kUint64Data = 11,
};

/// An element type: our dtype or, where that is kOpaque, the bits of one element. Source: TensorProto.DataType.
struct ElementType {
  DType dtype;
  uint64_t bits;
};

std::optional<ElementType> FindElementType(uint64_t number) {
  constexpr ElementType kUnknown{DType::kOpaque, 0};
  constexpr ElementType kTypes[] = {
      kUnknown,  // undefined
      {DType::kF32, 0},
      {DType::kU8, 0},
      {DType::kI8, 0},
      {DType::kU16, 0},
      {DType::kI16, 0},
      {DType::kI32, 0},
      {DType::kI64, 0},
      kUnknown,  // text
      {DType::kBool, 0},
      {DType::kF16, 0},
      {DType::kF64, 0},
      {DType::kU32, 0},
      {DType::kU64, 0},
      {DType::kC64, 0},
      {DType::kOpaque, 128},  // complex numbers of two doubles
      {DType::kBF16, 0},
      {DType::kF8E4M3, 0},
      {DType::kF8E4M3FNUZ, 0},
      {DType::kF8E5M2, 0},
      {DType::kF8E5M2FNUZ, 0},
      {DType::kOpaque, 4},
      {DType::kOpaque, 4},  // integers of 4 bits
      {DType::kF4, 0},
      {DType::kF8E8M0, 0},
      {DType::kOpaque, 2},
      {DType::kOpaque, 2},  // integers of 2 bits
  };
  if (number >= std::size(kTypes)) return std::nullopt;
  const ElementType& type = kTypes[number];
  if (type.dtype == DType::kOpaque && type.bits == 0) return std::nullopt;
  return type;
}

/// Types of less than 8 bits fill their last byte with zeros.
std::optional<uint64_t> OpaqueBytes(uint64_t bits, const Shape& shape) {
  std::optional<uint64_t> count = TensorBytes(DType::kU8, shape);
  std::optional<uint64_t> total_bits = count.has_value() ? CheckedMul(*count, bits) : std::nullopt;
  return total_bits.has_value() ? std::optional<uint64_t>(CeilDiv(*total_bits, 8)) : std::nullopt;
}

/// Whether the field holds the elements' own bytes, as raw data does and packed floats do.
bool HoldsElements(uint32_t data_field, uint64_t element_type) {
  constexpr uint64_t kFloat = 1, kDouble = 11, kComplex64 = 14, kComplex128 = 15;
  if (data_field == kFloatData) return element_type == kFloat || element_type == kComplex64;
  if (data_field == kDoubleData) return element_type == kDouble || element_type == kComplex128;
  return data_field == kRawData;
}

bool AddDimension(OnnxTensor& tensor, uint64_t dimension) {
  // Negative ones are over 2^63 here and never match any bytes.
  if (tensor.shape.size() < kMaxRank) {
    tensor.shape.push_back(dimension);
  } else {
    tensor.is_sound = false;
  }
  return true;
}

bool TakeDims(WindowCursor& cursor, const ProtobufField& field, OnnxTensor& tensor) {
  if (field.type == WireType::kVarint) return AddDimension(tensor, field.value);
  if (field.type != WireType::kLength) return false;
  uint64_t end_offset = cursor.offset() + field.size_bytes;
  while (cursor.offset() < end_offset) {
    uint64_t dimension = 0;
    if (!ReadVarint(cursor, dimension)) return false;
    AddDimension(tensor, dimension);
  }
  return cursor.offset() == end_offset;
}

bool TakeName(WindowCursor& cursor, const ProtobufField& field, OnnxTensor& tensor) {
  if (field.type != WireType::kLength) return false;
  if (field.size_bytes > kMaxNameBytes) {
    tensor.is_sound = false;
    return cursor.Skip(field.size_bytes);
  }
  ByteSpan name;
  if (!cursor.Take(field.size_bytes, name)) return false;
  tensor.name = AsText(name);
  return true;
}

bool TakeData(WindowCursor& cursor, const ProtobufField& field, OnnxTensor& tensor) {
  // Elements that are not packed come one a field, and packed ones may come in pieces: both are no range of bytes.
  bool is_first = tensor.data_field == 0;
  if (!is_first || field.type != WireType::kLength) tensor.is_sound = false;
  tensor.data_field = field.number;
  tensor.data_offset = cursor.offset();
  tensor.data_bytes = field.size_bytes;
  return cursor.Skip(field.size_bytes);
}

}  // namespace

bool TakeOnnxTensorField(WindowCursor& cursor, const ProtobufField& field, OnnxTensor& tensor) {
  switch (field.number) {
    case kDims:
      return TakeDims(cursor, field, tensor);
    case kDataType:
      tensor.element_type = field.value;
      return field.type == WireType::kVarint;
    case kName:
      return TakeName(cursor, field, tensor);
    case kRawData:
      return field.type == WireType::kLength && TakeData(cursor, field, tensor);
    case kFloatData:
    case kInt32Data:
    case kStringData:
    case kInt64Data:
    case kDoubleData:
    case kUint64Data:
      return TakeData(cursor, field, tensor);
    default:
      return cursor.Skip(field.size_bytes);
  }
}

OnnxData DescribeOnnxData(const OnnxTensor& tensor) {
  std::optional<ElementType> type = FindElementType(tensor.element_type);
  if (!tensor.is_sound || !type.has_value() || !HoldsElements(tensor.data_field, tensor.element_type)) return {};
  bool is_opaque = type->dtype == DType::kOpaque;
  std::optional<uint64_t> size_bytes =
      is_opaque ? OpaqueBytes(type->bits, tensor.shape) : TensorBytes(type->dtype, tensor.shape);
  return {size_bytes == tensor.data_bytes, type->dtype};
}

}  // namespace flyweight
