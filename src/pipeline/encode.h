#pragma once

#include "archive/writer.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "pipeline/progress_meter.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Extents of at most this many bytes are stored in the index.
inline constexpr uint64_t kInlineMaxBytes = 64;

/// An index of one file with the extents of `map`, which has no places, digests or SHA-256 yet.
ArchiveIndex DescribeFile(FileMap map, std::string name, uint64_t file_bytes);

/// What of an archive's redundancy is made, and what is checked on the way.
struct EncodeOptions {
  bool hash = true;           ///< the file's SHA-256 and the digests of its tensors
  bool check_chunks = false;  ///< decode each frame and compare it with its chunk before it is written
};

/// Writes the archive of the single file that `index` describes and `source` holds; fills in what the index lacks. The
/// bytes depend on neither the number of threads nor the ISA. Memory: see OrderedRun. Returns the bytes written.
/// Errors: those of reading and of the sink; kInternal where a decoded chunk differs.
Result<uint64_t> EncodeArchive(const ByteSource& source, ArchiveIndex& index, const EncodeOptions& options,
                               ByteSink& sink, ThreadPool& pool, ProgressMeter& progress);

/// As many threads as there is work for: `requested` (0 = all CPUs), but no more than chunks.
size_t UsefulThreadCount(size_t requested, uint64_t decoded_bytes);

}  // namespace flyweight
