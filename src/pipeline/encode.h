#pragma once

#include "archive/prefix.h"
#include "archive/writer.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "pipeline/content.h"
#include "pipeline/lossy_plan.h"
#include "pipeline/patch_bases.h"
#include "pipeline/progress_meter.h"
#include "tensor/file_map.h"

namespace flyweight {

/// Extents of at most this many bytes are stored in the index.
inline constexpr uint64_t kInlineMaxBytes = 64;

/// A file of an index with the extents of `map`, which has no places, digests or SHA-256 yet.
IndexFile DescribeFile(FileMap map, std::string name, uint64_t file_bytes);

/// An index of one such file, for an archive that is no tree.
ArchiveIndex DescribeSingleFile(FileMap map, std::string name, uint64_t file_bytes);

/// What of an archive's redundancy is made, and what is checked on the way.
struct EncodeOptions {
  Level level = Level::kBalanced;
  bool hash = true;                         ///< the files' SHA-256 and the digests of their tensors
  const LossyPlan* lossy = nullptr;         ///< which tensors lose precision; must outlive the call. Needs `hash`
  PatchBases* patches = nullptr;            ///< of the extents of place kPatched; must outlive the call. Needs `hash`
  bool check_chunks = false;                ///< decode each frame and compare it with its chunk before it is written
  const ArchivePrefix* previous = nullptr;  ///< what an interrupted run left, to take frames from
  RecoveryOptions recovery = {};            ///< parity, where its permille is not 0
};

struct EncodedArchive {
  uint64_t archive_bytes = 0;
  uint64_t index_hash = 0;  ///< as ArchiveReader gives it
};

/// Writes the archive of the files that `index` describes and `contents` holds; fills in what the index lacks. Extents
/// that are "same as" others stay so. The bytes depend on neither the number of threads nor the ISA. Memory: see
/// OrderedRun. Errors: those of reading and of the sink; kInternal where a decoded chunk
/// differs; kSourceChanged.
Result<EncodedArchive> EncodeArchive(const ContentSet& contents, ArchiveIndex& index, const EncodeOptions& options,
                                     ByteSink& sink, ThreadPool& pool, ProgressMeter& progress);

/// As many threads as there is work for: `requested` (0 = all CPUs), but no more than chunks.
size_t UsefulThreadCount(size_t requested, uint64_t decoded_bytes);

}  // namespace flyweight
