#pragma once

#include "codec/patch_record.h"
#include "flyweight/lossy.h"

namespace flyweight {

// Lossy patches (docs/format.md section 3.6.3): records with transform 6, which give back elements near those that were
// compressed. They are made by these functions alone; everything else reads them as any other patch.

/// How one tensor is made a lossy patch.
struct LossyDeltaChoice {
  DeltaMethod method = DeltaMethod::kUniform;
  float step = 0;             ///< kUniform: the step
  double exact_fraction = 0;  ///< kInt4 and kSparse: the part of the elements that is exact
};

/// PlanPatchRecord for a lossy patch. The plan is empty, with kNoPatchBytes, where the tensor cannot be one: its type
/// or that of the base is not F32, F16 or BF16. Errors: those of reading.
Result<PatchPlan> PlanLossyPatchRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                       const Shape& shape, const ByteSource& base, uint64_t base_offset,
                                       uint64_t base_bytes, DType base_dtype, const LossyDeltaChoice& choice,
                                       CodecScratch& scratch);

/// What a way to make a tensor a lossy patch would lose.
struct LossyPatchLoss {
  double squared_error = 0;   ///< ||result - tensor||^2
  double squared_change = 0;  ///< ||tensor - base||^2
};

/// Measures it on all chunks, or on `most_chunks` spread evenly, whose sums then stand for all. Nothing where
/// PlanLossyPatchRecord would give an empty plan. Arguments and errors as there.
Result<std::optional<LossyPatchLoss>> MeasureLossyPatch(const ByteSource& source, uint64_t offset, uint64_t size_bytes,
                                                        DType dtype, const Shape& shape, const ByteSource& base,
                                                        uint64_t base_offset, uint64_t base_bytes, DType base_dtype,
                                                        const LossyDeltaChoice& choice, uint64_t most_chunks,
                                                        CodecScratch& scratch);

struct LossyPatchFrame {
  ChunkEntry entry;
  double squared_change = 0;  ///< of the chunk against what the base lets expect
};

/// EncodePatchFrame for a lossy patch. `restored`, as large as `chunk`, gets what decoding will give, which the frame's
/// checksum is of. No overlap.
LossyPatchFrame EncodeLossyPatchFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, ByteSpan base_chunk,
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
