#include "pipeline/delta_plan.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "lossy/delta_steps.h"
#include "pipeline/extent_items.h"
#include "pipeline/lossy_budget.h"

namespace flyweight {
namespace {

/// How many chunks of a tensor the search for a step looks at.
constexpr uint64_t kSampledChunks = 2;
constexpr int kSearchRounds = 40;
constexpr double kFineEnough = 1.01;
/// Passes over everything, to get from what the sample says to what holds.
constexpr int kWholeRounds = 12;
constexpr double kNearEnough = 0.985;
constexpr double kMargin = 0.997;

/// The sums of all tensors.
LossyPatchLoss Total(const std::vector<LossyPatchLoss>& losses) {
  LossyPatchLoss total;
  for (const LossyPatchLoss& loss : losses) {
    total.squared_error += loss.squared_error;
    total.squared_change += loss.squared_change;
  }
  return total;
}

double Relative(const LossyPatchLoss& loss) {
  return loss.squared_change > 0 ? std::sqrt(loss.squared_error / loss.squared_change) : 0.0;
}

class DeltaPlanner {
 public:
  DeltaPlanner(const ContentSet& contents, const ArchiveIndex& index, const PatchBases& patches, Level level,
               ThreadPool& pool)
      : contents_(contents),
        index_(index),
        patches_(patches),
        level_(level),
        pool_(pool),
        places_(ItemsOf(index, AllFiles(index))) {}

  Status Plan(const LossyDeltaOptions& options, LossyPlan& plan) {
    ListCandidates();
    if (candidates_.empty()) return Status::Ok();
    LossyDeltaChoice choice{options.method, 0, options.exact_fraction};
    std::vector<LossyPatchLoss> losses;
    if (options.method == DeltaMethod::kUniform) {
      FLYWEIGHT_ASSIGN(choice.step, SampleStep(options.error));
      FLYWEIGHT_ASSIGN(losses, RefineStep(options.error, choice.step));
    } else {
      FLYWEIGHT_ASSIGN(losses, Measure(choice, UINT64_MAX));
    }
    FLYWEIGHT_ASSIGN(std::vector<char> is_smaller, CompareWithExact(choice));
    plan.deltas.resize(places_.size());
    for (size_t i = 0; i < candidates_.size(); ++i) {
      bool is_wanted = is_smaller[i] != 0 && losses[i].squared_error > 0 && Relative(losses[i]) <= options.tensor_error;
      if (is_wanted) plan.deltas[candidates_[i]] = choice;
    }
    return Status::Ok();
  }

 private:
  const IndexExtent& ExtentOf(uint64_t number) const {
    return index_.files[places_[number].file].extents[places_[number].extent];
  }

  void ListCandidates() {
    std::set<uint64_t> originals;
    for (uint64_t number = 0; number < places_.size(); ++number) {
      if (ExtentOf(number).place == PlaceKind::kSame) originals.insert(ExtentOf(number).same_as);
    }
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = ExtentOf(number);
      bool may_be = extent.place == PlaceKind::kPatched && CanBeLossyDelta(extent.dtype) &&
                    MayBecomeLossy(index_, places_[number]) && !originals.contains(number);
      if (!may_be) continue;
      candidates_.push_back(number);
      element_count_ += static_cast<double>(extent.decoded_bytes) * 8 / Describe(extent.dtype).bits;
    }
  }

  /// What each candidate would lose; nothing where it cannot be a lossy patch of its base.
  Result<std::vector<LossyPatchLoss>> Measure(const LossyDeltaChoice& choice, uint64_t most_chunks) {
    std::vector<LossyPatchLoss> losses(candidates_.size());
    std::vector<CodecScratch> scratch(pool_.thread_count());
    FLYWEIGHT_TRY(pool_.ParallelFor(candidates_.size(), [&](size_t i, size_t worker) -> Status {
      const uint64_t number = candidates_[i];
      const IndexExtent& extent = ExtentOf(number);
      FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(places_[number].file));
      FLYWEIGHT_ASSIGN(PatchBaseContent base, patches_.Open(number));
      FLYWEIGHT_ASSIGN(std::optional<LossyPatchLoss> loss,
                       MeasureLossyPatch(content->source(), places_[number].offset, extent.decoded_bytes, extent.dtype,
                                         extent.shape, *base.source, base.offset, base.size_bytes, base.dtype, choice,
                                         most_chunks, scratch[worker]));
      if (loss.has_value()) losses[i] = *loss;
      return Status::Ok();
    }));
    return losses;
  }

  /// Which candidates are smaller as lossy patches than without loss.
  Result<std::vector<char>> CompareWithExact(const LossyDeltaChoice& choice) {
    std::vector<char> is_smaller(candidates_.size());
    std::vector<CodecScratch> scratch(pool_.thread_count());
    FLYWEIGHT_TRY(pool_.ParallelFor(candidates_.size(), [&](size_t i, size_t worker) -> Status {
      const uint64_t number = candidates_[i];
      FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(places_[number].file));
      FLYWEIGHT_ASSIGN(PatchBaseContent base, patches_.Open(number));
      FLYWEIGHT_ASSIGN(bool smaller, IsSmallerLossy(content->source(), places_[number].offset, ExtentOf(number), base,
                                                    choice, level_, scratch[worker]));
      is_smaller[i] = smaller ? 1 : 0;
      return Status::Ok();
    }));
    return is_smaller;
  }

  Result<double> SampledError(double step) {
    FLYWEIGHT_ASSIGN(std::vector<LossyPatchLoss> losses,
                     Measure({DeltaMethod::kUniform, static_cast<float>(step), 0}, kSampledChunks));
    return Relative(Total(losses));
  }

  /// A step that was tried on the sample.
  struct Tried {
    double step = 0;
    double error = 0;
  };

  /// Where between two tries the error is wanted, as it grows with a power of the step.
  static double Between(const Tried& low, const Tried& high, double error) {
    const double middle = std::sqrt(low.step * high.step);
    if (!(low.error > 0)) return middle;
    const double slope = std::log(high.error / low.error) / std::log(high.step / low.step);
    const double step = low.step * std::exp(std::log(error / low.error) / slope);
    // Not so near to an end that the other one would stay where it is.
    const double share = std::log(step / low.step) / std::log(high.step / low.step);
    return share > 0.05 && share < 0.95 ? step : middle;
  }

  /// The largest step, about, that the sample allows: found by doubling, then in the interval that is left.
  Result<float> SampleStep(double error) {
    FLYWEIGHT_ASSIGN(std::vector<LossyPatchLoss> losses, Measure({DeltaMethod::kUniform, 1, 0}, kSampledChunks));
    const double change = std::sqrt(Total(losses).squared_change / std::max(element_count_, 1.0));
    if (!(change > 0)) return 1.0F;
    Tried low, high;
    double step = 8 * error * change;
    for (int round = 0; round < kSearchRounds; ++round) {
      FLYWEIGHT_ASSIGN(double found, SampledError(step));
      (found <= error ? low : high) = {step, found};
      bool is_near = found <= error && found >= kNearEnough * error;
      // Beyond this nothing is left of the differences, and nothing can be lost any more.
      bool is_past = high.step == 0 && step > 0x1p20 * change;
      if (is_near || is_past || (low.step != 0 && high.step != 0 && high.step <= kFineEnough * low.step)) break;
      step = low.step == 0 ? high.step / 2 : high.step == 0 ? low.step * 2 : Between(low, high, kMargin * error);
    }
    return static_cast<float>(std::max(low.step == 0 ? high.step / 2 : low.step, 0x1p-120));
  }

  /// Makes the step such that all tensors together lose no more than `error`, and not much less.
  Result<std::vector<LossyPatchLoss>> RefineStep(double error, float& step) {
    std::vector<LossyPatchLoss> best;
    float tried = step;
    for (int round = 0; round < kWholeRounds; ++round) {
      FLYWEIGHT_ASSIGN(std::vector<LossyPatchLoss> losses, Measure({DeltaMethod::kUniform, tried, 0}, UINT64_MAX));
      const double found = Relative(Total(losses));
      bool is_within = found <= error;
      if (is_within && (best.empty() || tried > step)) {
        best = std::move(losses);
        step = tried;
      }
      if (is_within && (found >= kNearEnough * error || round > 1)) break;
      // Where results are rounded coarsely the error does not follow the step.
      const double ratio = std::clamp(kMargin * error / std::max(found, 1e-30), 0.5, 1.2);
      tried = static_cast<float>(static_cast<double>(tried) * ratio);
      if (is_within && found < error / 2) break;
    }
    if (best.empty()) best.resize(candidates_.size());
    return best;
  }

  ContentCache contents_;
  const ArchiveIndex& index_;
  const PatchBases& patches_;
  Level level_;
  ThreadPool& pool_;
  std::vector<ExtentItem> places_;
  std::vector<uint64_t> candidates_;  ///< numbers of extents
  double element_count_ = 0;
};

}  // namespace

Status PlanLossyDeltas(const ContentSet& contents, const ArchiveIndex& index, const PatchBases& patches,
                       const LossyDeltaOptions& options, Level level, ThreadPool& pool, LossyPlan& plan) {
  return DeltaPlanner(contents, index, patches, level, pool).Plan(options, plan);
}

}  // namespace flyweight
