#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flyweight/result.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// What a range of a file is. A range that no parser could annotate with certainty is raw.
struct Extent {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  bool is_tensor = false;
  std::string name;  ///< tensors only, any bytes
  DType dtype = DType::kOpaque;
  Shape shape;
};

/// Which parser annotated the file. Numbers are written into archives and never change meaning.
enum class ContainerFormat : uint8_t {
  kRaw = 0,
  kSafetensors = 1,
  kGguf = 2,
  kTorchZip = 3,     ///< what torch.save writes today, and TorchScript
  kTorchLegacy = 4,  ///< what torch.save wrote before version 1.6
  kNpy = 5,
  kNpz = 6,
  kOnnx = 7,
  kZip = 8,  ///< any other zip file with stored entries
};

/// "raw", "safetensors", "gguf" and so on; "unknown" for a number this build does not know.
std::string_view ContainerFormatName(ContainerFormat format);

/// A file as an ordered list of extents that covers [0, file size) exactly. Annotation only: writing the extents back
/// in order is the file.
struct FileMap {
  ContainerFormat format = ContainerFormat::kRaw;
  std::vector<Extent> extents;
};

/// Errors: kCorrupt unless the extents are contiguous from 0 to `file_size_bytes` and every tensor of a known dtype has
/// the size of its shape.
Status ValidateFileMap(const FileMap& map, uint64_t file_size_bytes);

/// The map of a file nobody understands: one raw extent (none where the file is empty).
FileMap RawFileMap(uint64_t file_size_bytes);

}  // namespace flyweight
