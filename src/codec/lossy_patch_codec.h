#pragma once

#include "codec/chunk_encoder.h"
#include "codec/record_side.h"

namespace flyweight {

/// The front of a payload of codec 137 (docs/format.md section 3.6.3).
struct LossyPatchFront {
  uint64_t base_check = 0;
  uint32_t exact_count = 0;
  uint32_t exact_bytes = 0;
};
inline constexpr size_t kLossyPatchFrontBytes = 16;

/// Encodes a chunk as steps from what its base lets expect, `predicted`, which is as large. `restored`, as large too,
/// gets what decoding will give; it may be `predicted`. Returns the payload's bytes, or 0 where `payload` has no room:
/// restored is undefined then.
size_t EncodeLossyPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, ByteSpan predicted,
                             uint64_t base_check, MutableByteSpan payload, MutableByteSpan restored,
                             CodecScratch::Impl& scratch);

/// What EncodeLossyPatchChunk would restore, without encoding it. `restored` must not overlap `predicted`.
void RestoreLossyPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, ByteSpan predicted,
                            MutableByteSpan restored, CodecScratch::Impl& scratch);

/// Decodes a payload behind its base check. `chunk` holds what the base lets expect and becomes what was encoded.
/// kDecodePaddingBytes must be readable behind the payload. Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Status DecodeLossyPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan payload, MutableByteSpan chunk,
                             CodecScratch::Impl& scratch);

/// Quarter octaves of the root of `mean_square`, rounded to nearest by integers alone, limited to the range of classes;
/// the lowest class of 0.
int8_t DeltaClassOf(double mean_square);

/// The sum of squares in eight lanes, which every machine adds in one order.
double SumOfSquares(const float* values, size_t count);

}  // namespace flyweight
