#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

// Tensors of an archive as a file of their own.

namespace flyweight {

struct ExtractOptions {
  size_t thread_count = 0;  ///< 0 = all CPUs
  bool overwrite = false;
  uint64_t max_output_bytes = UINT64_MAX;  ///< more is refused before anything is written
  ProgressCallback progress;
};

/// Writes `prefix` (the header of whatever format the caller wants) and behind it the decoded bytes of the extents that
/// `extents` numbers in archive.listing(), in this order and without gaps. "-" as the target is standard output; a file
/// appears complete or not at all. Every chunk is checked as it is decoded. Returns the bytes written. Errors:
/// kInvalidArgument (no such extent), kLimitExceeded, kExists, kIo, and those of decoding.
Result<uint64_t> ExtractExtents(const Archive& archive, std::span<const size_t> extents,
                                std::span<const std::byte> prefix, const std::string& target,
                                const ExtractOptions& options);

}  // namespace flyweight
