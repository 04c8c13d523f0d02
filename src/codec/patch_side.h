#pragma once

#include "base/bytes.h"
#include "codec/record.h"
#include "flyweight/result.h"
#include "transform/base_differences/base_differences.h"

namespace flyweight {

/// Side information of a patch record (docs/format.md section 3.14.1).
struct PatchSide {
  DType base_dtype = DType::kOpaque;
  uint64_t base_bytes = 0;
};

/// The words that a dtype's differences are taken of: its elements, or the halves of complex ones.
struct PatchWord {
  size_t bytes = 1;
  BaseDifference difference = BaseDifference::kModulo;  ///< the one that suits them
};
PatchWord PatchWordOf(DType dtype);

/// Whether a base of this dtype can be one of a record, both as records have them.
bool PatchFits(DType record_dtype, DType base_dtype);

void WritePatchSide(const PatchSide& side, ByteWriter& writer);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<PatchSide> ReadPatchSide(ReadCursor& cursor, const RecordHead& head);

}  // namespace flyweight
