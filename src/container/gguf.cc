#include "container/gguf.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "container/extent_list.h"
#include "container/gguf_header.h"

namespace flyweight {
namespace {

struct PlacedTensor {
  uint64_t begin_offset;
  uint64_t end_offset;
  DType dtype;
  GgufTensor* entry;
};

/// How a ggml type is laid out, and whether tensors of it are opaque all the same.
struct GgmlType {
  DType layout = DType::kOpaque;
  bool is_opaque = false;
};

/// Nothing where the type's size is not known. Source of the numbers: enum ggml_type.
std::optional<GgmlType> FindGgmlType(uint32_t number) {
  switch (number) {
    case 0:
      return GgmlType{DType::kF32};
    case 1:
      return GgmlType{DType::kF16};
    case 24:
      return GgmlType{DType::kI8};
    case 25:
      return GgmlType{DType::kI16};
    case 26:
      return GgmlType{DType::kI32};
    case 27:
      return GgmlType{DType::kI64};
    case 28:
      return GgmlType{DType::kF64};
    case 30:
      return GgmlType{DType::kBF16};
    case 31:  // Q4_0_4_4, Q4_0_4_8 and Q4_0_8_8: the same blocks, interleaved by rows; withdrawn
    case 32:
    case 33:
      return GgmlType{DType::kGgmlQ40, true};
    case 36:  // IQ4_NL_4_4, IQ4_NL_4_8 and IQ4_NL_8_8: likewise
    case 37:
    case 38:
      return GgmlType{DType::kGgmlIQ4NL, true};
    default:
      break;
  }
  if (number > UINT16_MAX - kGgmlDTypeBase) return std::nullopt;
  auto dtype = static_cast<DType>(kGgmlDTypeBase + number);
  if (Describe(dtype).dtype != dtype) return std::nullopt;
  return GgmlType{dtype};
}

/// Where the tensor lies, or nothing where it cannot be annotated.
std::optional<PlacedTensor> Place(GgufTensor& tensor, const GgufHeader& header, uint64_t file_bytes) {
  std::optional<GgmlType> type = FindGgmlType(tensor.ggml_type);
  if (!type.has_value() || tensor.name_is_too_long) return std::nullopt;
  std::optional<uint64_t> size_bytes = TensorBytes(type->layout, tensor.shape);
  std::optional<uint64_t> begin = CheckedAdd(header.data_offset, tensor.offset_bytes);
  if (!size_bytes.has_value() || !begin.has_value()) return std::nullopt;
  std::optional<uint64_t> end = CheckedAdd(*begin, *size_bytes);
  if (!end.has_value() || *end > file_bytes) return std::nullopt;
  // There are no big-endian dtypes; of single bytes there is only one order.
  bool foreign = header.big_endian && Describe(type->layout).bits != 8;
  return PlacedTensor{*begin, *end, foreign || type->is_opaque ? DType::kOpaque : type->layout, &tensor};
}

std::vector<PlacedTensor> PlaceTensors(GgufHeader& header, uint64_t file_bytes) {
  std::vector<PlacedTensor> placed;
  placed.reserve(header.tensors.size());
  for (GgufTensor& tensor : header.tensors) {
    if (auto place = Place(tensor, header, file_bytes)) placed.push_back(*place);
  }
  std::sort(placed.begin(), placed.end(), [](const PlacedTensor& a, const PlacedTensor& b) {
    return std::tie(a.begin_offset, a.end_offset, a.entry->name) <
           std::tie(b.begin_offset, b.end_offset, b.entry->name);
  });
  return placed;
}

}  // namespace

Result<std::optional<FileMap>> AnnotateGguf(const ByteSource& source, ByteSpan first_bytes) {
  if (!LooksLikeGguf(first_bytes)) return std::optional<FileMap>();
  FLYWEIGHT_ASSIGN(std::optional<GgufHeader> header, ReadGgufHeader(source));
  if (!header.has_value()) return std::optional<FileMap>();

  std::vector<PlacedTensor> placed = PlaceTensors(*header, source.size());
  ExtentList list;
  list.Reserve(placed.size() + 2);
  for (const PlacedTensor& tensor : placed) {
    if (tensor.begin_offset < list.end_offset()) continue;
    list.RawUntil(tensor.begin_offset);
    list.Tensor(tensor.end_offset - tensor.begin_offset, std::move(tensor.entry->name), tensor.dtype,
                std::move(tensor.entry->shape));
  }
  list.RawUntil(source.size());
  return std::optional<FileMap>(FileMap{ContainerFormat::kGguf, list.Release()});
}

}  // namespace flyweight
