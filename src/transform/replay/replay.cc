#include "transform/replay/replay.h"

#include <algorithm>
#include <array>

#include "simd/isa.h"
#include "transform/replay/replay_kernels.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::ReplayNarrow)> kReplayNarrow = FLYWEIGHT_ISA_TABLE(ReplayNarrow);
constexpr IsaTable<decltype(&scalar::ReplayWide)> kReplayWide = FLYWEIGHT_ISA_TABLE(ReplayWide);

constexpr int kMantissaBits = 23;
constexpr int kTableBits = 12;
constexpr int kBucketShift = kMantissaBits - kTableBits;
constexpr size_t kTableSize = size_t{1} << kTableBits;
constexpr uint32_t kMantissaMask = (1u << kMantissaBits) - 1;
constexpr uint32_t kExponentOfOne = 127u << kMantissaBits;
constexpr uint32_t kUneven = UINT32_MAX;
// With fewer steps the multiplications take less time than the table's look-ups.
constexpr size_t kTableMinSteps = 96;
// The table takes the steps of 8192 elements; a few times as many make it worth while.
constexpr uint64_t kTableMinElements = uint64_t{1} << 16;
// The table's reasoning holds where no step takes more than a small part of the element.
constexpr double kTableMinFactor = 1 - 0x1p-8;
constexpr size_t kStripElements = 2048;

}  // namespace

Replay::Replay(std::span<const ReplayRun> runs, uint64_t element_count) {
  for (const ReplayRun& run : runs) wide_.insert(wide_.end(), run.steps, run.factor);
  auto fits_narrow = [](const ReplayRun& run) {
    return static_cast<double>(static_cast<float>(run.factor)) == run.factor;
  };
  if (std::all_of(runs.begin(), runs.end(), fits_narrow)) narrow_.assign(wide_.begin(), wide_.end());
  auto shrinks = [](const ReplayRun& run) { return run.factor <= 1 && run.factor >= kTableMinFactor; };
  if (wide_.size() >= kTableMinSteps && element_count >= kTableMinElements &&
      std::all_of(runs.begin(), runs.end(), shrinks))
    BuildTable();
}

void Replay::Apply(const std::byte* source, size_t count, std::byte* target) const {
  if (table_.empty()) return Multiply(source, count, target);
  for (size_t begin = 0; begin < count; begin += kStripElements)
    ApplyTable(source + 4 * begin, std::min(kStripElements, count - begin), target + 4 * begin);
}

double Replay::MeanSteps() const {
  double share = table_.empty() ? 1.0 : static_cast<double>(uneven_count_) / static_cast<double>(table_.size());
  return share * static_cast<double>(wide_.size());
}

void Replay::Multiply(const std::byte* source, size_t count, std::byte* target) const {
  if (narrow_.empty()) return kReplayWide.Pick()(wide_.data(), wide_.size(), source, count, target);
  kReplayNarrow.Pick()(narrow_.data(), narrow_.size(), source, count, target);
}

// What an element of [1, 2) loses does not fall as the element grows, so it is one number in a bucket at whose two ends
// it is. An element that stays above its power of two loses the same number of units whatever its exponent.
void Replay::BuildTable() {
  std::vector<uint32_t> ends(2 * kTableSize), after(2 * kTableSize);
  for (size_t i = 0; i < kTableSize; ++i) {
    ends[2 * i] = kExponentOfOne | static_cast<uint32_t>(i << kBucketShift);
    ends[2 * i + 1] = ends[2 * i] | ((1u << kBucketShift) - 1);
  }
  Multiply(reinterpret_cast<const std::byte*>(ends.data()), ends.size(), reinterpret_cast<std::byte*>(after.data()));
  table_.assign(kTableSize, kUneven);
  uneven_count_ = 0;
  for (size_t i = 0; i < kTableSize; ++i) {
    const uint32_t low = ends[2 * i] - after[2 * i], high = ends[2 * i + 1] - after[2 * i + 1];
    bool is_even = low == high && after[2 * i] >= kExponentOfOne;
    if (is_even) table_[i] = low;
    uneven_count_ += is_even ? 0 : 1;
  }
}

void Replay::ApplyTable(const std::byte* source, size_t count, std::byte* target) const {
  std::array<uint16_t, kStripElements> uneven;
  std::array<uint32_t, kStripElements> values = {};
  size_t uneven_count = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto bits = LoadLe<uint32_t>(source + 4 * i);
    const uint32_t loss = table_[(bits & kMantissaMask) >> kBucketShift];
    const uint32_t exponent = bits >> kMantissaBits & 0xFF;
    // Exponents 0 and 255: subnormal numbers, infinities, NaN.
    const bool is_uneven = loss == kUneven || exponent - 1 >= 0xFE;
    uneven[uneven_count] = static_cast<uint16_t>(i);
    values[uneven_count] = bits;
    uneven_count += is_uneven ? 1 : 0;
    StoreLe(target + 4 * i, bits - loss);
  }
  auto* bytes = reinterpret_cast<std::byte*>(values.data());
  Multiply(bytes, uneven_count, bytes);
  for (size_t i = 0; i < uneven_count; ++i) StoreLe(target + size_t{4} * uneven[i], values[i]);
}

}  // namespace flyweight
