#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "codec/low_rank_side.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"
#include "transform/replay/replay.h"

namespace flyweight {

// What the codecs of a patch start from: a prediction of the tensor's elements from those of the base
// (docs/format.md section 3.14.2).

/// Numbers are written into archives and never change meaning.
enum class PredictorKind : uint8_t {
  kNone = 0,     ///< the base's bytes
  kCast = 1,     ///< the base's elements in the tensor's dtype
  kReplay = 2,   ///< multiplied as an optimizer did that decays weights, or as a merge did
  kLowRank = 3,  ///< with a matrix of low rank added, as training and merged adapters do for the most part
};

struct Predictor {
  PredictorKind kind = PredictorKind::kNone;
  DType dtype = DType::kOpaque;       ///< the tensor's
  DType base_dtype = DType::kOpaque;  ///< the base's
  bool is_truncated = false;          ///< cast to BF16 without rounding
  std::vector<ReplayRun> runs = {};
  std::shared_ptr<const Replay> replay = nullptr;     ///< ready to apply
  std::vector<std::byte> low_rank_side = {};          ///< of kLowRank, as the head holds it
  std::shared_ptr<const LowRank> low_rank = nullptr;  ///< ready to apply
};

/// Whether elements of `base_dtype` can be cast to `dtype`: both of F64, F32, F16 and BF16, and not the same.
bool CanCast(DType base_dtype, DType dtype);

/// Elements multiplied by `runs` (not empty, at most 255, each as ParsePredictor accepts it) in F32.
/// `element_count`: of the tensor, about.
Predictor MakeReplayPredictor(std::vector<ReplayRun> runs, uint64_t element_count);

Predictor MakeCastPredictor(DType base_dtype, DType dtype, bool is_truncated);

/// A matrix added in F32, and the sum given in the tensor's dtype. Precondition: CanAddLowRank.
Predictor MakeLowRankPredictor(DType base_dtype, DType dtype, const LowRankFactors& factors);

/// Whether both are of F32, F16 and BF16.
bool CanAddLowRank(DType base_dtype, DType dtype);

void SerializePredictor(const Predictor& predictor, ByteWriter& writer);

/// Reads a predictor of a tensor of `dtype` with `element_count` elements. Errors: kTruncated, kCorrupt,
/// kUnsupportedFeature.
Result<Predictor> ParsePredictor(ReadCursor& cursor, DType dtype, DType base_dtype, uint64_t element_count);

/// Predicts the elements from `first_element` of the tensor, from those of the base with the same numbers. Where
/// `base_chunk` has fewer elements than `predicted` the base goes on with zeros. `predicted` may begin where
/// `base_chunk` does if both dtypes are the same, and must not overlap it otherwise. Preconditions: whole elements; for
/// kNone one size of element.
void Predict(const Predictor& predictor, uint64_t first_element, ByteSpan base_chunk, MutableByteSpan predicted);

}  // namespace flyweight
