#pragma once

#include <functional>
#include <string>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "pipeline/extent_items.h"
#include "pipeline/progress_meter.h"

namespace flyweight {

/// Bytes of a file that could not be decoded.
struct LostRange {
  size_t file = 0;
  size_t extent = 0;  ///< number in the file
  uint64_t file_offset = 0;
  uint64_t size_bytes = 0;
  std::string reason;
};

/// Where the chunks of files go, and what is checked beyond the checksums that every decode checks. Files are numbered
/// as in the index.
struct DecodeOptions {
  MutableByteSpan memory;      ///< chunks of a single file are decoded straight into here, where it is not empty
  bool check_sha256 = true;    ///< the files', where the archive has them
  bool check_digests = false;  ///< those of the tensors, where the archive has them
  StoredCheck stored_check = StoredCheck::kOnFailure;
  /// Sees each chunk once, on any worker, in any order.
  std::function<Status(size_t file, uint64_t file_offset, ByteSpan chunk, size_t worker)> visit;
  /// Sees all chunks in order, one at a time.
  std::function<Status(ByteSpan chunk)> consume;
  /// Called in the order of the files, one at a time, when all chunks of a file went through `visit` and its SHA-256 is
  /// the right one; also for files without extents, directories and links, before or between the others.
  std::function<Status(size_t file)> finish_file;
  /// Where it is set, what cannot be decoded gives zeros instead of an error, and is told here; a SHA-256 that then is
  /// another is no error either. Called by any worker, one at a time.
  std::function<void(const LostRange& lost)> lose;
};

/// Decodes all extents of some files of the archive. Memory: see OrderedRun. Returns the number of chunks.
/// Errors: those of the reader and of the callbacks; kChecksumMismatch where SHA-256 or a digest is another.
Result<uint64_t> DecodeArchive(const ArchiveReader& reader, FileRange files, const DecodeOptions& options,
                               ThreadPool& pool, ProgressMeter& progress);

/// The number of an archive's only file, directories aside. Errors: kInvalidArgument where it holds several or none.
Result<size_t> SingleFileOf(const ArchiveReader& reader);

}  // namespace flyweight
