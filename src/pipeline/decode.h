#pragma once

#include <functional>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "pipeline/progress_meter.h"

namespace flyweight {

/// Where the chunks of a file go, and what is checked beyond the checksums that every decode checks.
struct DecodeOptions {
  MutableByteSpan memory;      ///< chunks are decoded straight into here, where it is not empty; then it has file_bytes
  bool check_sha256 = true;    ///< the file's, where the archive has one
  bool check_digests = false;  ///< those of the tensors, where the archive has them
  /// Sees each chunk once, on any worker, in any order.
  std::function<Status(uint64_t file_offset, ByteSpan chunk, size_t worker)> visit;
  /// Sees all chunks in order, one at a time.
  std::function<Status(ByteSpan chunk)> consume;
};

/// Decodes all extents of a file of the archive. Memory: see OrderedRun. Returns the number of chunks.
/// Errors: those of the reader and of the callbacks; kChecksumMismatch where SHA-256 or a digest is another.
Result<uint64_t> DecodeArchiveFile(const ArchiveReader& reader, const IndexFile& file, const DecodeOptions& options,
                                   ThreadPool& pool, ProgressMeter& progress);

/// The one file of an archive. Errors: kUnsupportedFeature where it holds several or none.
Result<const IndexFile*> SingleFileOf(const ArchiveReader& reader);

}  // namespace flyweight
