#include "codec/predictor_fit.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "codec/decay_samples.h"
#include "codec/decay_schedule.h"
#include "codec/difference_cost.h"
#include "codec/low_rank_fit.h"
#include "codec/record_side.h"
#include "codec/replay_fit.h"

namespace flyweight {
namespace {

constexpr size_t kStretchElements = 256;
constexpr uint64_t kFirstStretches = 128;
constexpr uint64_t kAllStretches = 2048;
constexpr double kMinSavedBits = 0.01;
// Where even the table leaves more multiplications an element than this, restoring a large tensor would take too long.
constexpr double kMaxMeanSteps = 512;
constexpr uint64_t kSlowElements = uint64_t{1} << 17;

/// Reads stretches of whole elements, evenly spread over what both have.
class StretchReader {
 public:
  StretchReader(const SourcedTensor& tensor, const SourcedTensor& base)
      : tensor_(tensor),
        base_(base),
        tensor_element_bytes_(ElementBytes(tensor.dtype)),
        base_element_bytes_(ElementBytes(base.dtype)),
        element_count_(std::min(tensor.size_bytes / tensor_element_bytes_, base.size_bytes / base_element_bytes_)) {}

  uint64_t element_count() const { return element_count_; }

  /// Calls visit(elements of the tensor, elements of the base) for up to `count` stretches.
  template <typename Visit>
  Status ForEach(uint64_t count, const Visit& visit) const {
    const uint64_t size = std::min<uint64_t>(kStretchElements, element_count_);
    if (size == 0) return {};
    count = std::min(count, element_count_ / size);
    std::vector<std::byte> tensor(size * tensor_element_bytes_), base(size * base_element_bytes_);
    for (uint64_t s = 0; s < count; ++s) {
      // Not at even distances: what was done to every fourth row, say, must not hide.
      const uint64_t distance = (element_count_ - size) / count;
      const uint64_t first = distance * s + (s * 0x9E3779B97F4A7C15 >> 20) % (distance + 1);
      FLYWEIGHT_TRY(tensor_.source.ReadAt(tensor_.offset + first * tensor_element_bytes_, tensor));
      FLYWEIGHT_TRY(base_.source.ReadAt(base_.offset + first * base_element_bytes_, base));
      visit(ByteSpan(tensor), ByteSpan(base));
    }
    return {};
  }

 private:
  const SourcedTensor& tensor_;
  const SourcedTensor& base_;
  uint64_t tensor_element_bytes_;
  uint64_t base_element_bytes_;
  uint64_t element_count_;
};

void AppendWords(ByteSpan bytes, std::vector<uint32_t>& words) {
  for (size_t i = 0; i + 4 <= bytes.size(); i += 4) words.push_back(LoadLe<uint32_t>(bytes.data() + i));
}

Result<WordPairs> ReadPairs(const StretchReader& reader, uint64_t stretches) {
  WordPairs pairs;
  pairs.stretch_elements = std::min<uint64_t>(kStretchElements, reader.element_count());
  FLYWEIGHT_TRY(reader.ForEach(stretches, [&pairs](ByteSpan tensor, ByteSpan base) {
    AppendWords(tensor, pairs.tensor);
    AppendWords(base, pairs.base);
  }));
  return pairs;
}

double SavedBits(const WordPairs& pairs, std::span<const ReplayRun> runs) {
  const std::vector<uint32_t> replayed = Replayed(runs, pairs.base);
  auto bits = [&pairs](const std::vector<uint32_t>& predicted) {
    return MeanDifferenceBits(DType::kF32, std::as_bytes(std::span(predicted)), std::as_bytes(std::span(pairs.tensor)));
  };
  return bits(pairs.base) - bits(replayed);
}

Result<PredictorFit> FitReplay(const StretchReader& reader) {
  PredictorFit fit{{PredictorKind::kNone, DType::kF32, DType::kF32}};
  FLYWEIGHT_ASSIGN(WordPairs pairs, ReadPairs(reader, kFirstStretches));
  if (pairs.base == pairs.tensor) return fit;
  std::vector<ReplayRun> runs = FitScale(pairs);
  if (runs.empty() && !FindDecayed(pairs).weights.empty()) {
    FLYWEIGHT_ASSIGN(pairs, ReadPairs(reader, kAllStretches));
    runs = FitDecay(pairs);
  }
  if (runs.empty()) return fit;
  const double saved_bits = SavedBits(pairs, runs);
  if (saved_bits < kMinSavedBits) return fit;
  Predictor predictor = MakeReplayPredictor(std::move(runs), reader.element_count());
  const bool is_slow = reader.element_count() > kSlowElements && predictor.replay->MeanSteps() > kMaxMeanSteps;
  if (is_slow) return fit;
  return PredictorFit{std::move(predictor), saved_bits};
}

/// Casts to BF16 are rounded or cut: whichever gives more elements of the tensor.
Result<PredictorFit> FitCast(const StretchReader& reader, DType base_dtype, DType dtype) {
  const Predictor rounded = MakeCastPredictor(base_dtype, dtype, false);
  if (dtype != DType::kBF16 || base_dtype == DType::kF16) return PredictorFit{rounded};
  const Predictor truncated = MakeCastPredictor(base_dtype, dtype, true);
  uint64_t rounded_hits = 0, truncated_hits = 0;
  FLYWEIGHT_TRY(reader.ForEach(kFirstStretches, [&](ByteSpan tensor, ByteSpan base) {
    std::vector<std::byte> predicted(tensor.size());
    auto hits = [&](const Predictor& predictor) {
      Predict(predictor, 0, base, predicted);
      uint64_t count = 0;
      for (size_t i = 0; i + 2 <= tensor.size(); i += 2)
        count += LoadLe<uint16_t>(tensor.data() + i) == LoadLe<uint16_t>(predicted.data() + i) ? 1 : 0;
      return count;
    };
    rounded_hits += hits(rounded);
    truncated_hits += hits(truncated);
  }));
  return PredictorFit{truncated_hits > rounded_hits ? truncated : rounded};
}

}  // namespace

Result<PredictorFit> FitPredictor(const SourcedTensor& tensor, const Shape& shape, const SourcedTensor& base) {
  const StretchReader reader(tensor, base);
  PredictorFit fit{{PredictorKind::kNone, tensor.dtype, base.dtype}};
  if (reader.element_count() == 0) return fit;
  if (CanCast(base.dtype, tensor.dtype)) {
    FLYWEIGHT_ASSIGN(fit, FitCast(reader, base.dtype, tensor.dtype));
  } else if (tensor.dtype == DType::kF32 && base.dtype == DType::kF32) {
    FLYWEIGHT_ASSIGN(fit, FitReplay(reader));
  }
  // Weights that only decayed are no matrix of low rank, and those that learned are no decay.
  if (fit.predictor.kind == PredictorKind::kReplay || !CanAddLowRank(base.dtype, tensor.dtype)) return fit;
  FLYWEIGHT_ASSIGN(std::optional<LowRankFit> low_rank, FitLowRank(tensor, shape, base));
  if (!low_rank) return fit;
  return PredictorFit{MakeLowRankPredictor(base.dtype, tensor.dtype, low_rank->factors), low_rank->saved_bits};
}

}  // namespace flyweight
