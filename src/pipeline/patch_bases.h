#pragma once

#include <cstdint>
#include <memory>

#include "archive/reader.h"
#include "base/file.h"
#include "codec/lossy_patch_record.h"
#include "codec/patch_record.h"
#include "flyweight/level.h"

namespace flyweight {

/// Where the base of an extent lies while its patch is made.
struct PatchBaseContent {
  std::shared_ptr<const ByteSource> source;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  DType dtype = DType::kOpaque;
};

/// What the patched extents of an archive that is being made are made from. The encoder opens the base of each extent
/// of place kPatched and decides whether a patch is worth it; those that are not become kRecord.
class PatchBases {
 public:
  virtual ~PatchBases() = default;
  /// The base of an extent, numbered over all files. Thread-safe. Errors: those of reading.
  virtual Result<PatchBaseContent> Open(uint64_t number) const = 0;
  /// Called when the places and digests of all extents are final: sets index.base and the numbers that point into it.
  virtual Status Finish(ArchiveIndex& index) = 0;
};

/// Gives each patch of an index the depth that its base fixes. Precondition: no patch is its own base, over any number
/// of others.
void SetPatchDepths(ArchiveIndex& index);

/// A record as it is cheapest.
struct ChosenPlan {
  RecordPlan plan;
  bool is_patch = false;
  double estimated_bytes = 0;
};

/// Plans the record of an extent as a patch and without a base, and chooses. `source` at [offset, offset + size_bytes)
/// is its content. Errors: those of reading.
Result<ChosenPlan> ChoosePlan(const ByteSource& source, uint64_t offset, const IndexExtent& extent,
                              const PatchBaseContent& base, Level level, CodecScratch& scratch);

/// Bytes of the record of an extent that has no base, by a sample of its chunks. Arguments and errors as there.
Result<double> EstimateWithoutBase(const ByteSource& source, uint64_t offset, const IndexExtent& extent, Level level,
                                   CodecScratch& scratch);

/// Whether an extent can be a lossy patch that is smaller than what ChoosePlan chooses. Arguments and errors as there.
Result<bool> IsSmallerLossy(const ByteSource& source, uint64_t offset, const IndexExtent& extent,
                            const PatchBaseContent& base, const LossyDeltaChoice& choice, Level level,
                            CodecScratch& scratch);

}  // namespace flyweight
