#include "container/npy.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "container/extent_list.h"
#include "container/npy_header.h"

namespace flyweight {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::string_view kArrayName = "array";
constexpr size_t kVersionOffset = 6;
constexpr size_t kLengthOffset = 8;
constexpr uint64_t kMaxHeaderBytes = 65536;  // numpy itself takes no more than 10000 characters
constexpr uint64_t kUsualHeaderBytes = 128;

/// Where the header's text lies, from the start of the array file.
struct TextRange {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

/// Nothing where no array file starts so.
std::optional<TextRange> FindText(ByteSpan start) {
  if (start.size() < kLengthOffset + sizeof(uint16_t) || !AsText(start).starts_with(kMagic)) return std::nullopt;
  auto major = std::to_integer<int>(start[kVersionOffset]);
  auto minor = std::to_integer<int>(start[kVersionOffset + 1]);
  if (major < 1 || major > 3 || minor != 0) return std::nullopt;
  const std::byte* length = start.data() + kLengthOffset;
  if (major == 1) return TextRange{kLengthOffset + sizeof(uint16_t), LoadLe<uint16_t>(length)};
  if (start.size() < kLengthOffset + sizeof(uint32_t)) return std::nullopt;
  return TextRange{kLengthOffset + sizeof(uint32_t), LoadLe<uint32_t>(length)};
}

struct Array {
  uint64_t header_bytes = 0;
  uint64_t data_bytes = 0;
  DType dtype = DType::kOpaque;
  Shape shape;
};

std::optional<uint64_t> DataBytes(const NpyType& type, const Shape& shape) {
  if (type.dtype != DType::kOpaque) return TensorBytes(type.dtype, shape);
  std::optional<uint64_t> item_count = TensorBytes(DType::kU8, shape);
  return item_count.has_value() ? CheckedMul(*item_count, type.item_bytes) : std::nullopt;
}

std::optional<Array> ParseArray(std::string_view text, uint64_t header_bytes, uint64_t size_bytes) {
  std::optional<NpyHeader> header = ParseNpyHeader(text);
  std::optional<NpyType> type = header.has_value() ? FindNpyType(header->descr) : std::nullopt;
  if (!type.has_value()) return std::nullopt;
  // Bytes in Fortran's order are those of the transposed array in C's order, and so they are listed.
  if (header->fortran_order) std::reverse(header->shape.begin(), header->shape.end());
  std::optional<uint64_t> data_bytes = DataBytes(*type, header->shape);
  if (!data_bytes.has_value() || *data_bytes > size_bytes - header_bytes) return std::nullopt;
  return Array{header_bytes, *data_bytes, type->dtype, std::move(header->shape)};
}

Result<std::optional<Array>> ReadArray(const ByteSource& source, uint64_t offset, uint64_t size_bytes) {
  std::vector<std::byte> start(static_cast<size_t>(std::min(size_bytes, kUsualHeaderBytes)));
  FLYWEIGHT_TRY(source.ReadAt(offset, start));
  std::optional<TextRange> text = FindText(start);
  if (!text.has_value() || text->size_bytes > kMaxHeaderBytes || text->size_bytes > size_bytes - text->offset)
    return std::optional<Array>();
  uint64_t header_bytes = text->offset + text->size_bytes;
  if (header_bytes > start.size()) {
    start.resize(static_cast<size_t>(header_bytes));
    FLYWEIGHT_TRY(source.ReadAt(offset, start));
  }
  ByteSpan text_bytes =
      ByteSpan(start).subspan(static_cast<size_t>(text->offset), static_cast<size_t>(text->size_bytes));
  return ParseArray(AsText(text_bytes), header_bytes, size_bytes);
}

}  // namespace

Result<bool> AnnotateNpyAt(const ByteSource& source, uint64_t offset, uint64_t size_bytes, const std::string& name,
                           std::vector<Extent>& extents) {
  FLYWEIGHT_ASSIGN(std::optional<Array> array, ReadArray(source, offset, size_bytes));
  if (!array.has_value()) return false;
  ExtentList list(std::move(extents), offset);
  list.RawUntil(offset + array->header_bytes);
  list.Tensor(array->data_bytes, name, array->dtype, std::move(array->shape));
  list.RawUntil(offset + size_bytes);
  extents = list.Release();
  return true;
}

Result<std::optional<FileMap>> AnnotateNpy(const ByteSource& source, ByteSpan first_bytes) {
  if (!AsText(first_bytes).starts_with(kMagic)) return std::optional<FileMap>();
  FileMap map{ContainerFormat::kNpy, {}};
  FLYWEIGHT_ASSIGN(bool is_npy, AnnotateNpyAt(source, 0, source.size(), std::string(kArrayName), map.extents));
  return is_npy ? std::optional<FileMap>(std::move(map)) : std::nullopt;
}

}  // namespace flyweight
