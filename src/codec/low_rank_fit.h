#pragma once

#include <optional>

#include "codec/low_rank_side.h"
#include "codec/predictor_fit.h"
#include "flyweight/result.h"

namespace flyweight {

struct LowRankFit {
  LowRankFactors factors;
  double saved_bits = 0;  ///< about, of an element, side information subtracted
};

/// Finds the matrix of low rank that a tensor is more than its base, to the precision that pays; nothing where none
/// does. Reads rows of both, all of them where a sample of them promises a gain. The tensor and the base must have one
/// element count and be of F32, F16 or BF16. Errors: those of reading.
Result<std::optional<LowRankFit>> FitLowRank(const SourcedTensor& tensor, const Shape& shape,
                                             const SourcedTensor& base);

}  // namespace flyweight
