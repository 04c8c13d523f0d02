#pragma once

#include <cstdint>

#include "base/file.h"
#include "codec/patch_predict.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// A tensor's bytes in a source.
struct SourcedTensor {
  const ByteSource& source;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  DType dtype = DType::kOpaque;
};

struct PredictorFit {
  Predictor predictor;
  double saved_bits =
      0;  ///< about, of an element's difference: what the predictor does better than the base's elements
};

/// Finds what predicts the tensor from the base best. Where the dtypes differ that is at least a cast, or kNone where
/// there is none. Looks at a sample of up to 2 MiB of each, and reads both once more where a matrix of low rank
/// promises a gain; the same bytes always give the same predictor. Errors: those of reading.
Result<PredictorFit> FitPredictor(const SourcedTensor& tensor, const Shape& shape, const SourcedTensor& base);

}  // namespace flyweight
