#include "pipeline/lossy_budget.h"

#include <algorithm>
#include <cmath>

#include "archive/wire.h"
#include "base/checked.h"
#include "lossy/allocate.h"
#include "lossy/quantise.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampledChunks = 8;
constexpr uint8_t kTriedBits[] = {3, 4, 5, 6, 8};
constexpr LossyChoice kHalves[] = {{LossyMethod::kF16, 16, false, 0}, {LossyMethod::kBF16, 16, false, 0}};
/// What an extent takes in the two index sections, about: digest and checksums do not compress.
constexpr uint64_t kIndexBytesAnExtent = 190;
/// Part of the budget that is kept for what the sample does not tell.
constexpr double kReserve = 0.002;

/// The ways to store one record.
struct Options {
  uint64_t number = 0;
  std::vector<std::optional<LossyChoice>> choices;
  std::vector<Candidate> candidates;
};

uint64_t ElementCount(const IndexExtent& extent) {
  uint64_t count = 1;
  for (uint64_t dimension : extent.shape) count *= dimension;  // cannot overflow: the bytes were checked
  return count;
}

uint64_t BudgetOf(const LossySubject& subject, const LossyOptions& options) {
  if (options.budget_bytes.has_value()) return *options.budget_bytes;
  double elements = 0;
  for (const IndexFile& file : subject.index.files) {
    for (const IndexExtent& extent : file.extents)
      elements += extent.is_tensor ? static_cast<double>(ElementCount(extent)) : 0;
  }
  return static_cast<uint64_t>(elements * *options.bits_per_element / 8);
}

/// Bytes that no choice changes.
uint64_t FixedBytes(const ArchiveIndex& index) {
  uint64_t bytes = wire::kArchiveMinBytes;
  for (const IndexFile& file : index.files) {
    bytes += 2 * file.name.size() + kIndexBytesAnExtent * (1 + file.extents.size());
  }
  return bytes;
}

double RelativeError(const ErrorSums& errors) { return errors.energy > 0 ? errors.squares / errors.energy : 0.0; }

/// Blocks around zero and with minima, for each number of bits.
std::vector<LossyChoice> BlocksToTry() {
  std::vector<LossyChoice> choices;
  for (uint8_t bits : kTriedBits) {
    for (bool has_minimum : {false, true})
      choices.push_back({LossyMethod::kBlocks, bits, has_minimum, kLossyDefaultBlock});
  }
  return choices;
}

/// Adds what can hold the tensor. `whole` are the results of kHalves on all elements, `sampled` those of BlocksToTry.
void AddLossyOptions(const IndexExtent& extent, const std::vector<TrialResult>& whole,
                     const std::vector<TrialResult>& sampled, Options& options) {
  auto add = [&](const LossyChoice& choice, const ErrorSums& errors) {
    options.choices.emplace_back(choice);
    options.candidates.push_back({0, RelativeError(errors)});
  };
  for (size_t h = 0; h < whole.size(); ++h) {
    if (CanBeLossy(extent.dtype, kHalves[h].method) && whole[h].errors.IsSound()) add(kHalves[h], whole[h].errors);
  }
  std::vector<LossyChoice> blocks = BlocksToTry();
  for (size_t b = 0; b + 1 < sampled.size(); b += 2) {
    ErrorSums around_zero = sampled[b].errors;
    around_zero.special_count = whole[0].errors.special_count;
    around_zero.largest = whole[0].errors.largest;
    auto chosen = ChooseBlocks(blocks[b], extent.dtype, around_zero, sampled[b + 1].errors);
    if (chosen.has_value()) add(*chosen, sampled[chosen->has_minimum ? b + 1 : b].errors);
  }
}

Result<std::vector<Options>> CollectOptions(const LossySubject& subject) {
  std::vector<Options> all;
  std::vector<LossyTrial> whole_trials, sampled_trials;
  for (uint64_t number = 0; number < subject.places.size(); ++number) {
    const IndexExtent& extent = subject.ExtentOf(number);
    if (extent.place != PlaceKind::kRecord) continue;
    all.push_back({number, {std::nullopt}, {{0, 0.0}}});
    bool is_lossy = MayBecomeLossy(subject.index, subject.places[number]);
    bool is_quantisable = is_lossy && IsQuantisable(extent);
    whole_trials.push_back({number, {}});
    sampled_trials.push_back({number, {}});
    if (is_lossy) whole_trials.back().choices.assign(std::begin(kHalves), std::end(kHalves));
    if (is_quantisable) sampled_trials.back().choices = BlocksToTry();
  }
  FLYWEIGHT_ASSIGN(auto whole, RunTrials(subject, whole_trials, UINT64_MAX));
  FLYWEIGHT_ASSIGN(auto sampled, RunTrials(subject, sampled_trials, kSampledChunks));
  for (size_t i = 0; i < all.size(); ++i)
    AddLossyOptions(subject.ExtentOf(all[i].number), whole[i], sampled[i], all[i]);
  return all;
}

Status FillSizes(const LossySubject& subject, std::vector<Options>& all) {
  std::vector<SizeQuestion> questions;
  for (const Options& options : all) {
    for (const auto& choice : options.choices) questions.push_back({options.number, choice});
  }
  FLYWEIGHT_ASSIGN(std::vector<uint64_t> sizes, EstimateSizes(subject, questions, kSampledChunks));
  size_t at = 0;
  for (Options& options : all) {
    for (Candidate& candidate : options.candidates) candidate.size_bytes = sizes[at++];
  }
  return Status::Ok();
}

}  // namespace

Result<LossyPlan> PlanWithinBudget(const LossySubject& subject, const LossyOptions& options) {
  FLYWEIGHT_ASSIGN(std::vector<Options> all, CollectOptions(subject));
  FLYWEIGHT_TRY(FillSizes(subject, all));
  std::vector<std::vector<Candidate>> candidates;
  for (const Options& tensor : all) candidates.push_back(tensor.candidates);
  auto budget_bytes = static_cast<uint64_t>(static_cast<double>(BudgetOf(subject, options)) * (1 - kReserve));
  FLYWEIGHT_ASSIGN(std::vector<size_t> chosen, AllocateBits(candidates, budget_bytes, FixedBytes(subject.index)));
  LossyPlan plan;
  plan.choices.resize(subject.places.size());
  for (size_t i = 0; i < all.size(); ++i) plan.choices[all[i].number] = all[i].choices[chosen[i]];
  return plan;
}

}  // namespace flyweight
