#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

// A look at a file before it is compressed.

namespace flyweight {

struct ScanOptions {
  size_t thread_count = 0;  ///< 0 = all CPUs
  ProgressCallback progress;
};

/// One extent of a file that is not compressed yet.
struct ScannedExtent {
  std::string name;
  DType dtype = DType::kOpaque;
  Shape shape;
  bool is_tensor = false;
  uint64_t size_bytes = 0;
  uint64_t estimated_bytes = 0;  ///< about what an archive would take for it
};

struct ScanReport {
  std::string container_format;  ///< "raw", "safetensors", "gguf", ...
  uint64_t file_bytes = 0;
  uint64_t estimated_bytes = 0;  ///< of the archive
  uint64_t sampled_bytes = 0;    ///< of the file that were read for the estimate
  std::vector<ScannedExtent> extents;
};

/// Annotates a file as Compress would and estimates the archive's size: at most 1 MiB of each extent, taken from four
/// places in whole rows, is encoded and its ratio assumed for the rest. Tensors that occur twice are counted twice.
/// Writes nothing. Memory: some 4 MiB a thread. Errors: kIo, kInvalidArgument (not a regular file), kSourceChanged.
Result<ScanReport> ScanFile(const std::string& path, const ScanOptions& options);

}  // namespace flyweight
