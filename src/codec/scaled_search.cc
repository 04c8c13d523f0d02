#include "codec/scaled_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "codec/element_patches.h"
#include "codec/scratch.h"
#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

constexpr size_t kWindowElements = 16;
constexpr size_t kWindowReachElements = 64;
constexpr size_t kWindowNeeds = 6;
// What tells scaled integers from floats of other kinds: a fit that is no chance, or many equal magnitudes.
constexpr double kTellingChance = 0x1p-22;
constexpr size_t kTellingRepeats = 4;
constexpr size_t kMaxWindows = 12;
constexpr size_t kMaxRefusals = 2;
constexpr size_t kSampleGroups = 5;
constexpr size_t kSampleElements = 4096;
// Of 4 sample groups one may be of another kind.
constexpr size_t kRefusalDivisor = 4;
// A fit by chance is not more than this many groups long.
constexpr size_t kChanceFactor = 4;
constexpr int64_t kTieDivisor = 32;
constexpr size_t kRowTrials = 4;
constexpr size_t kSmallestGroup = 16;
constexpr size_t kLargestGroup = size_t{1} << 17;
// Of 32 elements of a group one may be of another kind.
constexpr size_t kMissDivisor = 32;

uint32_t LoadWord(ScaledWord word, const std::byte* source) {
  return word == ScaledWord::kF32 ? LoadLe<uint32_t>(source) : LoadLe<uint16_t>(source);
}

// Sorts magnitudes and joins equal ones.
void Normalise(std::vector<CountedMagnitude>& magnitudes) {
  std::sort(magnitudes.begin(), magnitudes.end(),
            [](const CountedMagnitude& a, const CountedMagnitude& b) { return a.word < b.word; });
  size_t kept = 0;
  for (const CountedMagnitude& each : magnitudes) {
    if (kept != 0 && magnitudes[kept - 1].word == each.word) {
      magnitudes[kept - 1].count += each.count;
    } else {
      magnitudes[kept++] = each;
    }
  }
  magnitudes.resize(kept);
}

// Gathers the magnitudes of a window and says how many elements it has that are not 0.
size_t GatherWindow(ScaledWord word, ByteSpan words, std::vector<CountedMagnitude>& magnitudes) {
  const size_t word_bytes = ScaledWordBytes(word);
  const size_t reach = std::min(kWindowReachElements, words.size() / word_bytes);
  const uint32_t sign = SignBit(word);
  magnitudes.clear();
  for (size_t i = 0; i < reach && (i < kWindowElements || magnitudes.size() < kWindowNeeds); ++i) {
    uint32_t magnitude = LoadWord(word, words.data() + i * word_bytes) & ~sign;
    if (magnitude != 0) magnitudes.push_back({magnitude, 1});
  }
  const size_t found = magnitudes.size();
  Normalise(magnitudes);
  return found;
}

// Of some forms, those that a window fits.
std::vector<ScaledForm> FormsThatFit(std::span<const ScaledForm> forms, ByteSpan chunk,
                                     std::vector<CountedMagnitude>& magnitudes) {
  const size_t word_bytes = ScaledWordBytes(forms.front().word);
  const size_t count = chunk.size() / word_bytes;
  std::vector<ScaledForm> fitting;
  size_t refusals = 0;
  for (size_t w = 0; w < kMaxWindows && refusals < kMaxRefusals && fitting.empty(); ++w) {
    // Multiples of the reach, so that no window crosses groups of that many elements.
    size_t first = count * w / kMaxWindows / kWindowReachElements * kWindowReachElements;
    size_t found = GatherWindow(forms.front().word, chunk.subspan(first * word_bytes), magnitudes);
    if (found < kWindowNeeds) continue;
    for (const ScaledForm& form : forms) {
      std::optional<ScaleRange> range = FitScale(form, magnitudes, 0);
      if (range && (range->chance < kTellingChance || found - magnitudes.size() >= kTellingRepeats))
        fitting.push_back(form);
    }
    ++refusals;
  }
  return fitting;
}

// What the integers of sample groups would take, by their order-0 entropy.
class CostMeter {
 public:
  // Adds a group whose words are in `values`.
  void Add(ScaledForm form, std::span<const CountedValue> values, float scale) {
    ++groups_;
    for (const CountedValue& each : values) {
      elements_ += each.count;
      int16_t k = IntegerOfWord(form, static_cast<uint32_t>(each.value), scale);
      if (k == kMissedInteger) {
        missed_ += each.count;
      } else {
        const int32_t place = k == kMinusZeroInteger ? kMaxScaledInteger + 1 : k;
        counts_[static_cast<size_t>(place + kMaxScaledInteger)] += each.count;
      }
    }
  }
  void AddMissed(size_t elements) {
    elements_ += elements;
    missed_ += elements;
  }

  int64_t ElementCost(ScaledWord word) const {
    if (elements_ == 0) return 0;
    int64_t cost = static_cast<int64_t>(groups_) * (kScaleCost << kLog2FractionBits);
    cost += static_cast<int64_t>(missed_ * 8 * ElementPatchBytes(ScaledWordBytes(word))) << kLog2FractionBits;
    const int64_t whole = Log2Fixed(elements_);
    for (uint32_t count : counts_) {
      if (count != 0) cost += count * (whole - Log2Fixed(count));
    }
    return cost / static_cast<int64_t>(elements_);
  }

 private:
  static constexpr int64_t kScaleCost = 10;

  std::array<uint32_t, 2 * kMaxScaledInteger + 2> counts_{};
  uint64_t elements_ = 0;
  uint64_t missed_ = 0;
  uint64_t groups_ = 0;
};

class GroupSearch {
 public:
  GroupSearch(ScaledForm form, const ScaledPlace& place, ByteSpan chunk, CodecScratch::Impl& scratch)
      : form_(form),
        place_(place),
        chunk_(chunk),
        scratch_(scratch),
        word_bytes_(ScaledWordBytes(form.word)),
        count_(chunk.size() / word_bytes_) {}

  // The cheapest of all sizes: groups that are too large may fit by chance, with finer scales and so larger integers.
  std::optional<ScaledPlan> Find() {
    Try(ScaleGroups{count_, count_});
    if (best_) return best_;
    for (size_t elements = kLargestGroup; elements >= kSmallestGroup; elements /= 2) {
      if (best_ && elements * kChanceFactor < best_->groups.elements) break;
      Try(GroupsOf(elements));
    }
    FindRows();
    return best_;
  }

 private:
  std::optional<ScaleRange> Fit(size_t first, size_t elements) {
    auto* places = scratch_.symbols.as<uint16_t>();
    ByteSpan words = chunk_.subspan(first * word_bytes_, std::min(elements, count_ - first) * word_bytes_);
    return FitGroup(form_, words, places, scratch_);
  }

  ScaleGroups GroupsOf(size_t elements) const {
    return {elements, elements - static_cast<size_t>(place_.first_element % elements)};
  }

  // Takes the groups where a sample of them fits and is cheaper than what is known.
  void Try(const ScaleGroups& groups) {
    const size_t group_count = groups.Count(count_);
    const size_t sample_count = std::min(group_count, std::max(kSampleGroups, kSampleElements / groups.elements));
    CostMeter meter;
    size_t refusals = 0;
    for (size_t s = 0; s < sample_count; ++s) {
      size_t group = sample_count == 1 ? 0 : (group_count - 1) * s / (sample_count - 1);
      size_t elements = group == 0 ? groups.first_elements : groups.elements;
      if (std::optional<ScaleRange> range = Fit(groups.Begin(group), elements)) {
        meter.Add(form_, scratch_.values.values(), SimplestScale(*range));
      } else {
        if (++refusals * kRefusalDivisor > sample_count) return;
        meter.AddMissed(elements);
      }
    }
    int64_t cost = meter.ElementCost(form_.word);
    if (!best_ || IsBetter(groups, cost)) best_ = ScaledPlan{form_, groups, cost};
  }

  // The costs of two samples differ by chance as well, so fewer scales win where they are much the same.
  bool IsBetter(const ScaleGroups& groups, int64_t cost) const {
    int64_t known = best_->element_cost;
    return groups.elements > best_->groups.elements ? cost < known + known / kTieDivisor
                                                    : cost + cost / kTieDivisor < known;
  }

  // How many elements from `first` on share a scale.
  size_t RunFrom(size_t first) {
    size_t fitting = 0, refused = kSmallestGroup;
    while (first + refused <= count_ && refused <= kLargestGroup && Fit(first, refused)) {
      fitting = refused;
      refused += std::max<size_t>(8, refused / 2);
    }
    while (refused - fitting > 1) {
      size_t middle = fitting + (refused - fitting) / 2;
      (first + middle <= count_ && Fit(first, middle) ? fitting : refused) = middle;
    }
    return fitting;
  }

  // The length of a run from one change of scale to the next is about that of a row, but where neighbours have much the
  // same scale; and rows divide the tensor.
  void FindRows() {
    size_t begin = RunFrom(0);
    for (size_t r = 0; r < kRowTrials && begin != 0 && begin < count_; ++r) {
      const size_t run = RunFrom(begin);
      if (run == 0 || TryRowsOfAbout(run)) return;
      begin += run;
    }
  }

  bool TryRowsOfAbout(size_t run) {
    const size_t reach = run / 16 + 8;
    for (size_t away = 0; away <= 2 * reach; ++away) {
      size_t elements = away % 2 == 0 ? run - away / 2 : run + away / 2 + 1;
      if (elements < kSmallestGroup || std::has_single_bit(elements)) continue;
      if (place_.tensor_elements % elements != 0) continue;
      Try(GroupsOf(elements));
      if (best_ && best_->groups.elements == elements) return true;
    }
    return false;
  }

  ScaledForm form_;
  ScaledPlace place_;
  ByteSpan chunk_;
  CodecScratch::Impl& scratch_;
  size_t word_bytes_;
  size_t count_;
  std::optional<ScaledPlan> best_;
};

}  // namespace

std::optional<ScaleRange> FitGroup(ScaledForm form, ByteSpan words, uint16_t* places, CodecScratch::Impl& scratch) {
  const size_t word_bytes = ScaledWordBytes(form.word);
  const size_t allowed_misses = words.size() / word_bytes / kMissDivisor;
  const size_t limit = std::min(ValueTable::kMaxValues, 2 * size_t{kMaxScaledInteger} + 2 + allowed_misses);
  scratch.values.Clear();
  if (!scratch.values.Add(words, word_bytes, limit, places)) return std::nullopt;
  const uint32_t sign = SignBit(form.word);
  scratch.magnitudes.clear();
  for (const CountedValue& each : scratch.values.values()) {
    uint32_t magnitude = static_cast<uint32_t>(each.value) & ~sign;
    if (magnitude != 0) scratch.magnitudes.push_back({magnitude, each.count});
  }
  if (scratch.magnitudes.empty()) return ScaleRange{0, 0};
  Normalise(scratch.magnitudes);
  return FitScale(form, scratch.magnitudes, static_cast<uint32_t>(allowed_misses));
}

std::optional<ScaledPlan> PlanScaledChunk(ScaledWord word, const ScaledPlace& place, ByteSpan chunk,
                                          CodecScratch::Impl& scratch) {
  scratch.symbols.Resize(chunk.size() / ScaledWordBytes(word) * sizeof(uint16_t));
  const ScaledForm all_forms[] = {{word, ScaledRounding::kNearest}, {word, ScaledRounding::kTruncate}};
  const std::span<const ScaledForm> forms(all_forms, word == ScaledWord::kBF16 ? 2 : 1);
  std::optional<ScaledPlan> best;
  for (const ScaledForm& form : FormsThatFit(forms, chunk, scratch.magnitudes)) {
    std::optional<ScaledPlan> plan = GroupSearch(form, place, chunk, scratch).Find();
    if (plan && (!best || plan->element_cost < best->element_cost)) best = plan;
  }
  return best;
}

int16_t IntegerOfWord(ScaledForm form, uint32_t word, float scale) {
  const uint32_t sign = SignBit(form.word);
  if (word == sign) return kMinusZeroInteger;
  std::optional<int32_t> k = IntegerOf(form, word & ~sign, scale);
  if (!k) return kMissedInteger;
  return static_cast<int16_t>((word & sign) != 0 ? -*k : *k);
}

}  // namespace flyweight
