#pragma once

#include <cstdint>
#include <optional>

#include "codec/record.h"

namespace flyweight {

// Patch records (docs/format.md section 3.14): an extent's content as what changed against a base, whose bytes the
// caller reads. Chunk i is made from the elements of the base that have the numbers of its own elements, whatever their
// shape; where the base has fewer it is continued with zeros.

/// What a patch record says about its base.
struct PatchBase {
  DType dtype = DType::kOpaque;
  uint64_t size_bytes = 0;
};

/// Empty for a record that is no patch.
std::optional<PatchBase> PatchBaseOf(const RecordHead& head);

/// Bytes [begin, begin + size) of the base.
struct BaseRange {
  uint64_t begin_bytes = 0;
  uint64_t size_bytes = 0;
};

/// What chunk `chunk_index` is made from, clipped to the base's end: the size may be 0. Precondition: the record is a
/// patch and has that chunk.
BaseRange BaseRangeOf(const RecordHead& head, uint64_t chunk_index);

struct PatchPlan {
  RecordPlan record;
  uint64_t estimated_bytes = 0;  ///< of the whole record, to compare it with one that needs no base
};

/// The estimate of a patch that cannot be: nothing makes elements of the tensor's type out of the base's. The plan is
/// then empty.
inline constexpr uint64_t kNoPatchBytes = UINT64_MAX;

/// Decides how a tensor is encoded as a patch, and writes the record's head. Reads tensor and base in several passes;
/// the same content always gives the same plan. `source` at [offset, offset + size_bytes) is the tensor, whose `shape`
/// is a hint, and `base` at [base_offset, base_offset + base_bytes) the base. Errors: those of reading.
Result<PatchPlan> PlanPatchRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                  const Shape& shape, const ByteSource& base, uint64_t base_offset, uint64_t base_bytes,
                                  DType base_dtype, Level level, CodecScratch& scratch);

/// Bytes of the whole record of a plan of PlanPatchRecord, from some of its chunks encoded: dearer than what the plan
/// says, and nearer. Arguments as there. Errors: those of reading.
Result<uint64_t> EstimatePatchRecord(const RecordPlan& record, const ByteSource& source, uint64_t offset,
                                     const ByteSource& base, uint64_t base_offset, CodecScratch& scratch);

/// EncodeFrame for a plan of PlanPatchRecord; `base_chunk` is what BaseRangeOf says.
ChunkEntry EncodePatchFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, ByteSpan base_chunk,
                            MutableByteSpan frame, CodecScratch& scratch);

/// What DecodePatchFrame need not compare with its checksum.
struct PatchTrust {
  bool base_is_known = false;  ///< the caller did that: the base chunk is the one that BaseCheckOf names
  bool result = false;         ///< frame and base were found right, and decoding is trusted
};

/// DecodeFrame for a record that may be a patch. `base_chunk` is what BaseRangeOf says (nothing for other records) and
/// may begin where `target` does, but must not overlap it otherwise. Errors: those of DecodeFrame, and kWrongBase where
/// the base is not the one that the chunk was made from: target was not written to then.
Status DecodePatchFrame(const RecordHead& head, uint64_t chunk_index, ByteSpan frame, size_t readable_bytes,
                        const ChunkEntry& entry, ByteSpan base_chunk, MutableByteSpan target, CodecScratch& scratch,
                        StoredCheck stored_check = StoredCheck::kOnFailure, PatchTrust trust = {});

}  // namespace flyweight
