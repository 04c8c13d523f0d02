#pragma once

#include <optional>

#include "codec/record.h"
#include "flyweight/lossy.h"

namespace flyweight {

// Records that do not give back what went in (docs/format.md section 3.6). They are made by these functions alone;
// everything else reads them as any other record.

/// Plans a lossy record: as PlanRecord, but with a method that the caller chose. The caller sees to it that the method
/// can hold every element: with kF16 and kBF16 no finite element may round to infinity, with kBlocks all must be finite
/// and at most LargestQuantised (lossy/quantise.h). Errors: kInvalidArgument where the method does not fit the dtype;
/// those of reading.
Result<RecordPlan> PlanLossyRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                   const Shape& shape, const LossyChoice& choice, CodecScratch& scratch);

/// EncodeFrame for a lossy record. `restored`, as large as `chunk`, gets what decoding will give, which the frame's
/// checksum is of. No overlap.
ChunkEntry EncodeLossyFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan frame,
                            MutableByteSpan restored, CodecScratch& scratch);

/// How a record is lossy; nothing where it is not.
std::optional<LossyChoice> LossyChoiceOf(const RecordHead& head);

}  // namespace flyweight
