#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flyweight/level.h"
#include "flyweight/pipeline.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

// A look at a file before it is compressed.

namespace flyweight {

struct ScanOptions {
  size_t thread_count = 0;                     ///< 0 = all CPUs
  uint64_t sample_bytes = uint64_t{64} << 20;  ///< about how much is encoded; for kMax a quarter of it
  ProgressCallback progress = {};
  NoticeCallback notice = {};
};

/// A number of bytes for each level, in the order of kAllLevels.
using BytesByLevel = std::array<uint64_t, kLevelCount>;

/// One extent of a file that is not compressed yet.
struct ScannedExtent {
  std::string name;
  std::string kind;  ///< the name with each number in it as '*': that of tensors which do the same in other layers
  size_t file = 0;   ///< number in ScanReport::files
  DType dtype = DType::kOpaque;
  Shape shape;
  bool is_tensor = false;
  uint64_t size_bytes = 0;
  uint64_t sampled_bytes = 0;  ///< of it that were encoded; 0 where it is judged by others of its kind
  /// About what an archive would take for it.
  BytesByLevel estimated_bytes{};
  /// Number of an earlier extent that seems to have the same bytes, so that an archive has them once.
  std::optional<size_t> same_as;
  std::string reason;  ///< why it gets as small as it does: "BF16 weights: exponents compress"
};

struct ScanReport {
  bool is_tree = false;
  std::string container_format;    ///< of a single file: "raw", "safetensors", "gguf", ...
  std::vector<std::string> files;  ///< their names; in a tree paths below its root
  uint64_t file_bytes = 0;         ///< of all files
  BytesByLevel estimated_bytes{};  ///< of the archive
  uint64_t sampled_bytes = 0;      ///< of the files that were encoded for the estimate
  std::vector<ScannedExtent> extents;
};

/// Annotates a file or a directory as Compress would and estimates the archive's size at each level. Some chunks are
/// encoded as Compress would encode them, spread over extents whose dtype, shape and, but for numbers in it, name are
/// the same. kMax is tried on fewer of them, and its gain over kHigh assumed for the others. Extents of equal size and
/// equal samples are taken for the same bytes. Writes nothing. Memory: some 12 MiB a thread and 0.5 KB an extent.
/// Errors: kIo, kInvalidArgument (special file), kSourceChanged.
Result<ScanReport> ScanFile(const std::string& path, const ScanOptions& options);

}  // namespace flyweight
