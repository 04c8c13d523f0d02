#include "tensor/file_map.h"

namespace flyweight {
namespace {

Error BadExtent(const Extent& extent, size_t number, const std::string& what) {
  std::string which = extent.is_tensor ? "tensor '" + extent.name + "'" : "raw extent";
  return {ErrorCode::kCorrupt, extent.offset, "extent " + std::to_string(number) + " (" + which + ") " + what};
}

}  // namespace

std::string_view ContainerFormatName(ContainerFormat format) {
  constexpr std::string_view kNames[] = {"raw", "safetensors", "gguf", "pytorch", "pytorch-legacy",
                                         "npy", "npz",         "onnx", "zip"};
  size_t number = static_cast<size_t>(format);
  return number < std::size(kNames) ? kNames[number] : "unknown";
}

Status ValidateFileMap(const FileMap& map, uint64_t file_size_bytes) {
  uint64_t end = 0;
  for (size_t number = 0; number < map.extents.size(); ++number) {
    const Extent& extent = map.extents[number];
    if (extent.offset != end) {
      return BadExtent(
          extent, number,
          "starts at " + std::to_string(extent.offset) + " where the one before ends at " + std::to_string(end));
    }
    if (extent.size_bytes > file_size_bytes - end) {
      return BadExtent(extent, number, "reaches behind the end of the file at " + std::to_string(file_size_bytes));
    }
    end += extent.size_bytes;
    if (!extent.is_tensor || extent.dtype == DType::kOpaque) continue;
    std::optional<uint64_t> tensor_bytes = TensorBytes(extent.dtype, extent.shape);
    if (!tensor_bytes.has_value() || *tensor_bytes != extent.size_bytes) {
      return BadExtent(extent, number,
                       "has " + std::to_string(extent.size_bytes) + " bytes, which are not those of its shape");
    }
  }
  if (end != file_size_bytes) {
    return Error{
        ErrorCode::kCorrupt, end,
        "extents end at " + std::to_string(end) + " but the file has " + std::to_string(file_size_bytes) + " bytes"};
  }
  return Status::Ok();
}

FileMap RawFileMap(uint64_t file_size_bytes) {
  FileMap map;
  if (file_size_bytes > 0) map.extents.emplace_back().size_bytes = file_size_bytes;
  return map;
}

}  // namespace flyweight
