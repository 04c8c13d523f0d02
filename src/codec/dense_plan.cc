#include "codec/dense_plan.h"

#include <algorithm>

#include "codec/dense_runs.h"
#include "codec/dense_wire.h"
#include "codec/difference_cost.h"
#include "codec/float_side.h"
#include "transform/delta_activity/delta_activity.h"
#include "transform/delta_fields/delta_fields.h"

namespace flyweight {
namespace {

constexpr uint64_t kStripWords = uint64_t{1} << 18;
// Rows of fewer words tell little, and rows that are not there, of vectors, have this many.
constexpr uint64_t kMinColumns = 32;
constexpr uint64_t kStretchWords = 1024;
// With fewer rows a number a column costs more than it says.
constexpr uint64_t kMinRows = 8;
constexpr uint64_t kFirstLookRows = 512;
// Exponents further below the tensor's largest one count as equal.
constexpr int kExponentSpan = 36;
constexpr int kExponentSpanWide = 22;
constexpr int kLargestRow = 191;
constexpr int kColumnLimit = 60;
constexpr float kLeastColumn = 1e-4F;
constexpr float kLeastRow = 1e-37F;

uint64_t ColumnsOf(const Shape& shape, uint64_t word_count, uint64_t words_per_element) {
  if (shape.size() >= 2) {
    uint64_t last = shape.back() * words_per_element;
    if (last >= kMinColumns && last <= kMaxColumns) return last;
    uint64_t columns = shape[0] == 0 ? 0 : word_count / shape[0];
    if (columns >= kMinColumns && columns <= kMaxColumns) return columns;
  }
  return word_count <= 2 * kStretchWords ? word_count : kStretchWords;
}

int MantissaBits(FloatLayout layout) { return Describe(layout).exponent_shift; }
int ExponentBias(FloatLayout layout) { return layout == FloatLayout::kF16 ? 15 : 127; }

// Estimates how active rows and columns are, so that a word's expected distance is their product.
class Activities {
 public:
  Activities(PatchStrips& strips, FloatLayout layout, uint64_t word_count, uint64_t column_count,
             uint64_t words_per_element)
      : strips_(strips),
        layout_(layout),
        word_count_(word_count),
        column_count_(column_count),
        words_per_element_(words_per_element),
        row_count_((word_count + column_count - 1) / column_count),
        columns_(column_count, 1.0F),
        rows_(row_count_),
        distances_(column_count),
        units_(column_count) {}

  Status Measure() {
    const bool by_columns = row_count_ >= kMinRows;
    if (by_columns) FLYWEIGHT_TRY(LookFirst());
    column_sums_.assign(column_count_, 0);
    column_weights_.assign(column_count_, 0);
    FLYWEIGHT_TRY(
        EachRow(1, [&](uint64_t row, const RowDistances& measured, size_t count) { Weigh(row, measured, count); }));
    if (by_columns) RefineColumns();
    return {};
  }

  bool differs() const { return differs_; }

  void Quantise(DenseSide& side) const {
    const int span = layout_ == FloatLayout::kF32 ? kExponentSpanWide : kExponentSpan;
    side.exponent_origin = static_cast<uint8_t>(std::max(0, static_cast<int>(largest_exponent_) - span));
    const int origin = 4 * (side.exponent_origin - ExponentBias(layout_) - MantissaBits(layout_));
    side.rows.resize(row_count_);
    for (size_t r = 0; r < row_count_; ++r) {
      if (rows_[r] > 0) {
        const int activity = QuarterOctaves(std::max(rows_[r] * mean_, kLeastRow)) - origin + 32;
        side.rows[r] = static_cast<uint8_t>(std::clamp(activity, 1, kLargestRow));
      }
    }
    side.columns.resize(column_count_);
    for (size_t c = 0; c < column_count_; ++c) {
      const float relative = columns_[c] / mean_;
      const int activity = relative > kLeastRow ? QuarterOctaves(relative) : -kColumnLimit;
      side.columns[c] = static_cast<uint8_t>(kDeltaActivityBias + std::clamp(activity, -kColumnLimit, kColumnLimit));
    }
  }

 private:
  // Calls `use(row, measured, count)` for every `step`-th row, whose distances and units are there then.
  template <typename Use>
  Status EachRow(uint64_t step, const Use& use) {
    const uint64_t strip_rows = step > 1 ? 1 : std::max<uint64_t>(1, kStripWords / column_count_);
    const size_t word_bytes = Describe(layout_).word_bytes;
    for (uint64_t first = 0; first < row_count_; first += strip_rows * step) {
      const uint64_t end = std::min(first + strip_rows, row_count_);
      const uint64_t first_word = first * column_count_;
      const uint64_t words = std::min(end * column_count_, word_count_) - first_word;
      const uint64_t skipped = first_word % words_per_element_;
      FLYWEIGHT_TRY(strips_.Read(first_word / words_per_element_,
                                 (skipped + words + words_per_element_ - 1) / words_per_element_));
      for (uint64_t row = first; row < end; ++row) {
        const size_t at = (skipped + (row - first) * column_count_) * word_bytes;
        const auto count = static_cast<size_t>(std::min(column_count_, word_count_ - row * column_count_));
        RowDistances measured = MeasureRow(layout_, strips_.predicted() + at, strips_.words() + at, count,
                                           distances_.data(), units_.data());
        largest_exponent_ = std::max(largest_exponent_, measured.largest_exponent);
        use(row, measured, count);
      }
    }
    return {};
  }

  // Plain means by column, of rows brought to one mean, of a part of the rows.
  Status LookFirst() {
    std::vector<float> totals(column_count_);
    FLYWEIGHT_TRY(EachRow(
        std::max<uint64_t>(1, row_count_ / kFirstLookRows), [&](uint64_t, const RowDistances& measured, size_t count) {
          if (!(measured.sum > kLeastRow)) return;
          AddScaled(distances_.data(), count, static_cast<float>(count) / measured.sum, totals.data());
        }));
    float mean = MeanOf(totals);
    if (!(mean > kLeastRow)) return {};
    for (size_t c = 0; c < column_count_; ++c) columns_[c] = std::max(totals[c] / mean, kLeastColumn);
    return {};
  }

  // A row's mean, corrected by distances weighed with what the first look expects of them.
  void Weigh(uint64_t row, const RowDistances& measured, size_t count) {
    if (!measured.differs) return;
    differs_ = true;
    const float mean = std::max(measured.sum / static_cast<float>(count), kLeastRow);
    WeighedSums sums = WeighRow(
        {distances_.data(), units_.data(), columns_.data(), count, mean, column_sums_.data(), column_weights_.data()});
    const float correction = sums.expected > kLeastRow ? sums.distance / sums.expected : 1.0F;
    rows_[row] = mean * std::max(correction, 1e-3F);
  }

  void RefineColumns() {
    for (size_t c = 0; c < column_count_; ++c)
      columns_[c] = column_weights_[c] > kLeastRow ? columns_[c] * (column_sums_[c] / column_weights_[c]) : 0;
    const float mean = MeanOf(columns_);
    if (mean > kLeastRow) {
      mean_ = mean;
    } else {
      std::fill(columns_.begin(), columns_.end(), 1.0F);
    }
  }

  static float MeanOf(const std::vector<float>& values) {
    float sum = 0;
    for (float value : values) sum += value;
    return sum / static_cast<float>(values.size());
  }

  PatchStrips& strips_;
  FloatLayout layout_;
  uint64_t word_count_, column_count_, words_per_element_, row_count_;
  std::vector<float> columns_, rows_, distances_, units_, column_sums_, column_weights_;
  uint32_t largest_exponent_ = 0;
  float mean_ = 1;
  bool differs_ = false;
};

// Counts classes by context over all words that will be coded.
class Census {
 public:
  Census(const DenseSide& side, PatchStrips& strips, uint64_t words_per_element)
      : side_(side), strips_(strips), words_per_element_(words_per_element) {
    for (size_t i = 0; i < kNibbleContexts; ++i) contexts_themselves_[i] = static_cast<uint8_t>(i);
  }

  Status Count(uint64_t word_count) {
    for (uint64_t first = 0; first < word_count; first += kStripWords) {
      const auto count = static_cast<size_t>(std::min(kStripWords, word_count - first));
      std::span rows = std::span<const uint8_t>(side_.rows)
                           .subspan(first / side_.column_count, DenseRowsTouched(side_, first, count));
      if (ListDenseRuns(side_, first, count, rows, runs_) == 0) continue;
      FLYWEIGHT_TRY(strips_.Read(first / words_per_element_, count / words_per_element_));
      for (DenseBlocks blocks(runs_); blocks.Next();) CountBlock(first, rows, blocks);
    }
    return {};
  }

  const NibbleCounts& counts() const { return counts_; }

  uint64_t Changed() const {
    uint64_t changed = 0;
    for (const auto& context : counts_)
      for (size_t symbol = 1; symbol < kNibbleSymbols; ++symbol) changed += context[symbol];
    return changed;
  }

  // Bits of the places that changed, of their classes at order 0 and of the rest; too many where low bits stand apart.
  uint64_t SparseBits(uint64_t word_count) const {
    const auto changed = static_cast<double>(Changed());
    if (width_bits_ != 0 || changed * 8 > static_cast<double>(word_count)) return UINT64_MAX;
    double bits = changed * (ExactLog2(static_cast<double>(word_count) / std::max(changed, 1.0)) + 1.44);
    for (size_t symbol = 1; symbol < kNibbleSymbols; ++symbol) {
      double count = 0;
      for (const auto& context : counts_) count += static_cast<double>(context[symbol]);
      if (count > 0) bits += count * ExactLog2(changed / count);
    }
    return static_cast<uint64_t>(bits) + RawBits();
  }

  // Of everything but the classes.
  uint64_t RawBits() const {
    const uint64_t escape_bits = Describe(side_.layout).word_bytes * 8;
    uint64_t bits = width_bits_;
    for (const auto& context : counts_) {
      for (size_t symbol = 1; symbol < kDeltaEscape; ++symbol)
        bits += context[symbol] * (symbol < 4 ? 1 : symbol == 14 ? 8 : symbol / 2);
      bits += context[kDeltaEscape] * escape_bits;
    }
    return bits;
  }

 private:
  void CountBlock(uint64_t first, std::span<const uint8_t> rows, const DenseBlocks& blocks) {
    constexpr size_t kRoom = DenseBlocks::kWords + kDenseSlack;
    alignas(64) uint8_t activities[kRoom], contexts[kRoom], widths[kRoom], symbols[kRoom];
    const bool has_widths = HasDeltaWidths(side_.layout);
    const size_t word_bytes = Describe(side_.layout).word_bytes;
    ExpandBlock(side_, first, rows, blocks, activities);
    size_t at = 0;
    for (const DenseRun& run : blocks.runs()) {
      const std::byte* predicted = strips_.predicted() + run.begin * word_bytes;
      DeltaContexts(side_.layout, {predicted, activities + at, run.count, side_.exponent_origin, contexts_themselves_,
                                   contexts + at, has_widths ? widths + at : nullptr});
      ClassifyDelta(side_.layout, predicted, strips_.words() + run.begin * word_bytes,
                    has_widths ? widths + at : nullptr, run.count, symbols + at);
      at += run.count;
    }
    CountNibbles(contexts, symbols, at, counts_);
    if (!has_widths) return;
    for (size_t i = 0; i < at; ++i) width_bits_ += widths[i];
  }

  const DenseSide& side_;
  PatchStrips& strips_;
  uint64_t words_per_element_;
  uint8_t contexts_themselves_[kNibbleContexts];
  std::vector<DenseRun> runs_;
  NibbleCounts counts_{};
  uint64_t width_bits_ = 0;
};

}  // namespace

Result<std::optional<DensePlan>> PlanDense(PatchStrips& strips, FloatLayout layout, uint64_t word_count,
                                           const Shape& shape, uint64_t words_per_element) {
  std::optional<DensePlan> plan;
  if (word_count == 0) return plan;
  const uint64_t column_count = ColumnsOf(shape, word_count, words_per_element);
  Activities activities(strips, layout, word_count, column_count, words_per_element);
  FLYWEIGHT_TRY(activities.Measure());
  if (!activities.differs()) return plan;
  plan.emplace();
  DenseSide& side = plan->side;
  side.layout = layout;
  side.column_count = column_count;
  activities.Quantise(side);
  Census census(side, strips, words_per_element);
  FLYWEIGHT_TRY(census.Count(word_count));
  side.tables = BuildNibbleTables(census.counts());
  side.coder = std::make_unique<const NibbleCoder>(side.tables);
  plan->sparse_bits = census.SparseBits(word_count);
  plan->estimated_bits = EstimateNibbleBits(side.tables, census.counts()) + census.RawBits();
  side.expected_bits = static_cast<double>(plan->estimated_bits) / static_cast<double>(word_count);
  return plan;
}

}  // namespace flyweight
