#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flyweight/level.h"
#include "flyweight/pipeline.h"
#include "flyweight/result.h"

// How small and how fast, on a file of the user's own.

namespace flyweight {

struct BenchOptions {
  std::vector<Level> levels = {kAllLevels.begin(), kAllLevels.end()};
  bool zstd = true;                             ///< compare with zstd -1, -3 and -19
  uint64_t sample_bytes = uint64_t{256} << 20;  ///< of a larger file a sample of so much is taken
  ProgressCallback progress = {};
};

/// One way to compress the sample. Speeds follow from source_bytes and seconds.
struct BenchRow {
  std::string name;           ///< "fast", ..., "zstd -3"
  uint64_t source_bytes = 0;  ///< on which it was run: of slow ways less than the whole sample
  uint64_t stored_bytes = 0;  ///< what these became
  double ratio = 1;           ///< what the whole sample becomes, divided by its size; scaled from the part where slow
  double encode_seconds = 0;  ///< CPU time of one thread, the best of some runs
  double decode_seconds = 0;
};

struct BenchReport {
  std::string container_format;  ///< "raw", "safetensors", "gguf", ...
  uint64_t file_bytes = 0;
  uint64_t sample_bytes = 0;  ///< file_bytes, or less
  std::vector<BenchRow> rows;
};

/// Compresses and restores a file in memory, on one thread, at several levels and with zstd, and compares what comes
/// back. Of a large file a sample is taken, from all of its tensors in whole rows. flyweight's checksums are included,
/// SHA-256 and the reading of the file are not. Writes nothing. Memory: four times the sample. Errors: kIo,
/// kInvalidArgument (directory, special file), kSourceChanged, kInternal (what came back differs).
Result<BenchReport> BenchFile(const std::string& path, const BenchOptions& options);

}  // namespace flyweight
