#pragma once

#include "base/aligned_buffer.h"
#include "base/bytes.h"
#include "entropy/zstd_coder.h"
#include "flyweight/result.h"
#include "transform/masked_bits/masked_bits.h"

namespace flyweight {

/// Codes one byte plane by the cheapest of the methods of docs/format.md section 3.1.
enum class PlaneMethod : uint8_t { kStored = 0, kConstant = 1, kZstd = 2, kMaskedBits = 3, kRans = 4 };

inline constexpr size_t kPlaneHeaderBytes = 5;

/// Reusable memory of the plane coder. One a thread.
struct PlaneScratch {
  ZstdCoder zstd;
  MaskedPlan masked_plan;
  AlignedBuffer trial;
};

/// Chooses by estimate: constant, masked bits, rANS where the order-0 entropy promises at least 0.3 %, zstd where a
/// sample of the plane repeats itself, else stored. Precondition: target.size() >= kPlaneHeaderBytes + plane.size(); an
/// empty plane is stored. Returns the bytes written, never more than that.
size_t EncodePlane(ByteSpan plane, MutableByteSpan target, PlaneScratch& scratch);

/// A coded plane that was parsed but not yet decoded.
struct CodedPlane {
  PlaneMethod method = PlaneMethod::kStored;
  ByteSpan stored;
};

/// Reads the header of a coded plane of `byte_count` bytes. Errors: kTruncated, kCorrupt (sizes that cannot be),
/// kUnsupportedFeature (unknown method).
Result<CodedPlane> ReadCodedPlane(ReadCursor& cursor, size_t byte_count);

/// Decodes a plane into memory. Errors: kCorrupt, kTruncated.
Status DecodePlane(const CodedPlane& coded, MutableByteSpan plane, PlaneScratch& scratch);

}  // namespace flyweight
