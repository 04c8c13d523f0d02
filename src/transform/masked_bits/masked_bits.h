#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// A byte plane cut into blocks of 64 bytes, each of which stores only the bits that vary inside it (docs/format.md
/// section 3.3). Zero blocks vanish, trailing zero bits vanish, whole rows that hold narrower values than their type
/// vanish in part: all at the speed of a copy.

inline constexpr size_t kMaskedBlockBytes = 64;

struct MaskedRun {
  uint8_t mask = 0;  ///< bits that vary
  uint8_t base = 0;  ///< the others
  uint16_t block_count = 0;
};

/// How a plane would be coded. `encoded_bytes` counts everything.
struct MaskedPlan {
  std::vector<MaskedRun> runs;
  size_t encoded_bytes = 0;
};

/// Finds the runs of `plane` into `plan` (whose memory is reused). Returns false where there are too many runs for the
/// format.
bool PlanMaskedBits(ByteSpan plane, MaskedPlan& plan);

/// Writes a planned plane. Precondition: target.size() >= plan.encoded_bytes. Returns plan.encoded_bytes.
size_t EncodeMaskedBits(ByteSpan plane, const MaskedPlan& plan, MutableByteSpan target);

/// Decodes into `plane`, whose size says how many bytes there are. Errors: kTruncated, kCorrupt.
Status DecodeMaskedBits(ByteSpan source, MutableByteSpan plane);

}  // namespace flyweight
