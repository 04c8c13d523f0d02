#pragma once

#include "codec/predictor_fit.h"
#include "codec/record.h"

namespace flyweight {

/// What a sample of the chunks of a patch record, encoded, says about all of it.
struct PatchTrial {
  uint64_t record_bytes = 0;   ///< head and chunk table included
  uint64_t chunk_count = 0;    ///< of the sample
  uint64_t changed_count = 0;  ///< of those, the chunks that are not as the base lets expect
  uint64_t dense_count = 0;    ///< of those, the dense ones
};

/// Encodes at most `most_chunks` chunks, spread evenly. Precondition: `record` is a plan for a patch of `tensor` on
/// `base`. Errors: those of reading.
Result<PatchTrial> TryPatchRecord(const RecordPlan& record, const SourcedTensor& tensor, const SourcedTensor& base,
                                  uint64_t most_chunks, CodecScratch& scratch);

}  // namespace flyweight
