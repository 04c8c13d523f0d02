#pragma once

#include <vector>

#include "codec/record.h"
#include "flyweight/pipeline.h"
#include "flyweight/result.h"

namespace flyweight {

/// How a tensor of a patch is stored.
struct TensorPlan {
  RecordPlan record;
  bool is_patch = false;
};

/// The cheaper of a patch on `base` (null: there is none) and of a record that needs no base. Compared by estimate
/// where one is much smaller, else by encoding some chunks both ways: all of them where there are few. Precondition:
/// the tensors have bytes, and these fit their shapes.
Result<TensorPlan> PlanTensor(const TensorView& tensor, const TensorView* base, Level level, CodecScratch& scratch);

}  // namespace flyweight
