#pragma once

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Some of a file's content in memory, as a file of its own.
struct BenchSample {
  FileMap map;
  AlignedBuffer bytes;
  uint64_t size_bytes = 0;

  ByteSpan span() const { return {bytes.data(), static_cast<size_t>(size_bytes)}; }
};

/// Takes about `wanted_bytes` of a file, all where it has no more: of each extent its share from the middle, in whole
/// rows; of extents whose share is small, every so many as a whole. Errors: those of reading.
Result<BenchSample> TakeBenchSample(const ByteSource& source, const FileMap& map, uint64_t wanted_bytes);

}  // namespace flyweight
