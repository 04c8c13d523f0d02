#include "pipeline/lossy_plan.h"

#include <algorithm>
#include <cmath>

#include "lossy/quantise.h"
#include "pipeline/extent_items.h"
#include "pipeline/lossy_budget.h"
#include "pipeline/lossy_trials.h"

namespace flyweight {
namespace {

constexpr LossyChoice kF16{LossyMethod::kF16, 16, false, 0};
constexpr LossyChoice kBF16{LossyMethod::kBF16, 16, false, 0};

/// Gives extents back their own record where they shared one that becomes another dtype's or another shape's tensor.
void StopSharing(const std::vector<ExtentItem>& places, ArchiveIndex& index) {
  auto extent_of = [&](uint64_t number) -> IndexExtent& {
    return index.files[places[number].file].extents[places[number].extent];
  };
  for (uint64_t number = 0; number < places.size(); ++number) {
    IndexExtent& extent = extent_of(number);
    if (extent.place != PlaceKind::kSame) continue;
    const IndexExtent& original = extent_of(extent.same_as);
    bool is_harmless = !MayBecomeLossy(index, places[extent.same_as]) ||
                       (MayBecomeLossy(index, places[number]) && extent.dtype == original.dtype &&
                        IsQuantisable(extent) == IsQuantisable(original));
    if (is_harmless) continue;
    extent.place = PlaceKind::kRecord;
    extent.same_as = 0;
  }
}

/// What has to be measured before a method is chosen; empty where it does not apply.
std::vector<LossyChoice> TrialsFor(const LossyChoice& wanted, const IndexExtent& extent) {
  if (extent.place != PlaceKind::kRecord || !IsLossyTensor(extent) || !CanBeLossy(extent.dtype, wanted.method))
    return {};
  if (wanted.method == LossyMethod::kF16) return {kF16, kBF16};
  if (wanted.method == LossyMethod::kBF16) return {kBF16};
  if (!IsQuantisable(extent)) return {};
  LossyChoice with_minimum = wanted;
  with_minimum.has_minimum = true;
  return {wanted, with_minimum};
}

std::optional<LossyChoice> ChooseHalves(const std::vector<TrialResult>& results) {
  const TrialResult& first = results.front();
  if (results.size() == 1) return first.errors.IsSound() ? std::optional(kBF16) : std::nullopt;
  const TrialResult& second = results.back();
  bool first_is_better = first.errors.IsSound() && first.errors.squares <= second.errors.squares;
  if (first_is_better) return kF16;
  if (second.errors.IsSound()) return kBF16;
  return first.errors.IsSound() ? std::optional(kF16) : std::nullopt;
}

Result<LossyPlan> PlanOneMethod(const LossySubject& subject, const LossyChoice& wanted) {
  std::vector<LossyTrial> trials;
  for (uint64_t number = 0; number < subject.places.size(); ++number) {
    if (!MayBecomeLossy(subject.index, subject.places[number])) continue;
    std::vector<LossyChoice> choices = TrialsFor(wanted, subject.ExtentOf(number));
    if (!choices.empty()) trials.push_back({number, std::move(choices)});
  }
  FLYWEIGHT_ASSIGN(auto results, RunTrials(subject, trials, UINT64_MAX));
  LossyPlan plan;
  plan.choices.resize(subject.places.size());
  for (size_t t = 0; t < trials.size(); ++t) {
    // What comes back whole is stored so that it is known to.
    if (std::ranges::any_of(results[t], &TrialResult::is_exact)) continue;
    plan.choices[trials[t].number] =
        wanted.method == LossyMethod::kBlocks
            ? ChooseBlocks(wanted, subject.ExtentOf(trials[t].number).dtype, results[t][0].errors, results[t][1].errors)
            : ChooseHalves(results[t]);
  }
  return plan;
}

void FollowOriginals(const LossySubject& subject, LossyPlan& plan) {
  for (uint64_t number = 0; number < subject.places.size(); ++number) {
    const IndexExtent& extent = subject.ExtentOf(number);
    if (extent.place == PlaceKind::kSame) plan.choices[number] = plan.choices[extent.same_as];
  }
}

}  // namespace

bool LossyPlan::any() const {
  auto is_set = [](const auto& choice) { return choice.has_value(); };
  return std::ranges::any_of(choices, is_set) || std::ranges::any_of(deltas, is_set);
}

bool IsLossyTensor(const IndexExtent& extent) {
  return extent.is_tensor && CanBeLossy(extent.dtype) && extent.place != PlaceKind::kInline;
}

bool MayBecomeLossy(const ArchiveIndex& index, const ExtentItem& place) {
  const IndexFile& file = index.files[place.file];
  bool is_checked = file.container_format == ContainerFormat::kNpz || file.container_format == ContainerFormat::kZip;
  return !is_checked && IsLossyTensor(file.extents[place.extent]);
}

bool IsQuantisable(const IndexExtent& extent) {
  uint64_t element_bits = static_cast<uint64_t>(Describe(extent.dtype).bits);
  auto is_long = [](uint64_t dimension) { return dimension > 1; };
  return extent.decoded_bytes / (element_bits / 8) >= kMinQuantisedElements &&
         std::ranges::count_if(extent.shape, is_long) >= 2;
}

std::optional<LossyChoice> ChooseBlocks(const LossyChoice& wanted, DType dtype, const ErrorSums& around_zero,
                                        const ErrorSums& from_minimum) {
  if (around_zero.special_count != 0 || around_zero.largest > LargestQuantised(dtype)) return std::nullopt;
  // A minimum takes 16 bits a block, which spent on the codes would divide the error by as much.
  double worth = std::exp2(32.0 / wanted.block);
  LossyChoice chosen = wanted;
  chosen.has_minimum = from_minimum.squares * worth < around_zero.squares;
  return chosen;
}

Result<LossyPlan> PlanLossy(const ContentSet& contents, ArchiveIndex& index, const LossyOptions& options, Level level,
                            ThreadPool& pool) {
  LossyPlan plan;
  if (!options.method.has_value() && !options.is_adaptive()) return plan;
  std::vector<ExtentItem> places = ItemsOf(index, AllFiles(index));
  StopSharing(places, index);
  LossySubject subject{contents, index, places, pool, level};
  if (options.is_adaptive()) {
    FLYWEIGHT_ASSIGN(plan, PlanWithinBudget(subject, options));
  } else {
    FLYWEIGHT_ASSIGN(plan, PlanOneMethod(subject, *options.method));
  }
  FollowOriginals(subject, plan);
  return plan;
}

}  // namespace flyweight
