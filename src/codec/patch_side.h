#pragma once

#include <memory>

#include "base/bytes.h"
#include "codec/patch_predict.h"
#include "codec/record.h"
#include "flyweight/result.h"
#include "transform/base_differences/base_differences.h"

namespace flyweight {

struct DenseSide;

/// Side information of a patch record (docs/format.md section 3.14.1).
struct PatchSide {
  DType base_dtype = DType::kOpaque;
  uint64_t base_bytes = 0;
  Predictor predictor = {};
  std::shared_ptr<const DenseSide> dense = nullptr;  ///< where chunks may be dense
};

/// The words that a dtype's differences are taken of: its elements, or the halves of complex ones.
struct PatchWord {
  size_t bytes = 1;
  BaseDifference difference = BaseDifference::kModulo;  ///< the one that suits them
};
PatchWord PatchWordOf(DType dtype);

/// Whether a base can be one of a record that has no predictor, of dtypes as records have them.
bool PatchFits(DType record_dtype, DType base_dtype);

/// What patches of all kinds begin with; the dense part, of transform 5, stands behind it.
void WritePatchSide(const PatchSide& side, ByteWriter& writer);

/// Errors: kTruncated, kCorrupt, kUnsupportedFeature.
Result<PatchSide> ReadPatchSide(ReadCursor& cursor, const RecordHead& head);

void WritePatchDense(const PatchSide& side, ByteWriter& writer);

/// Errors: as ReadPatchSide.
Status ReadPatchDense(ReadCursor& cursor, const RecordHead& head, PatchSide& side);

}  // namespace flyweight
