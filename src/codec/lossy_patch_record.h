#pragma once

#include "codec/patch_record.h"

namespace flyweight {

// Lossy patches (docs/format.md section 3.6.3): records with transform 6, which give back elements near those that were
// compressed. They are made by these functions alone; everything else reads them as any other patch.

/// How differences to a base are made smaller.
enum class DeltaStrategy : uint8_t {
  kUniform = 1,  ///< whole numbers of one step, rounded so that error and size together are least
  kInt4 = 2,     ///< 15 levels, and exact elements where differences are largest
  kSparse = 3,   ///< exact elements where differences are largest, all others the base
  kOneBit = 4,   ///< signs, with the mean magnitude of each row
};

struct LossyDeltaChoice {
  DeltaStrategy strategy = DeltaStrategy::kUniform;
  float step = 0;             ///< kUniform: the step
  double exact_fraction = 0;  ///< kInt4 and kSparse: the part of the elements that is exact
};

/// PlanPatchRecord for a lossy patch. The plan is empty, with kNoPatchBytes, where the tensor cannot be one: its type
/// or that of the base is not F32, F16 or BF16. Errors: those of reading.
Result<PatchPlan> PlanLossyPatchRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                       const Shape& shape, const ByteSource& base, uint64_t base_offset,
                                       uint64_t base_bytes, DType base_dtype, const LossyDeltaChoice& choice,
                                       CodecScratch& scratch);

/// EncodePatchFrame for a lossy patch. `restored`, as large as `chunk`, gets what decoding will give, which the frame's
/// checksum is of. No overlap.
ChunkEntry EncodeLossyPatchFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, ByteSpan base_chunk,
                                 MutableByteSpan frame, MutableByteSpan restored, CodecScratch& scratch);

/// True of a lossy patch.
bool IsLossyPatch(const RecordHead& head);

/// Squares of what a chunk's elements are away from others of their type, both read as F32; pairs that are not both
/// finite count as nothing. Added in an order that is the same everywhere.
double SquaredDistance(DType dtype, ByteSpan chunk, ByteSpan other);

/// What the base lets expect of a chunk, in the tensor's own type, as decoding begins with it. Preconditions: those of
/// EncodePatchFrame; `predicted` is as large as the chunk.
void PredictPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan base_chunk, MutableByteSpan predicted);

}  // namespace flyweight
