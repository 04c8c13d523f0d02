#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace flyweight {

/// The most multiplications that a list may have.
inline constexpr uint64_t kReplayStepsMax = 4096;

/// `steps` multiplications by one factor.
struct ReplayRun {
  double factor = 1;
  uint32_t steps = 1;

  bool operator==(const ReplayRun&) const = default;
};

/// Multiplies F32 elements by a list of factors, one after the other. A product is that of the element and the factor
/// in F64, rounded to F32; infinities and NaN stay as they are. Nothing is fused or flushed, so every machine gives the
/// same bytes.
class Replay {
 public:
  /// Makes ready what applying needs. `element_count` says how many elements there will be about: a table that spares
  /// most of the multiplications is built where it pays.
  Replay(std::span<const ReplayRun> runs, uint64_t element_count);

  /// `target` may be `source`. Precondition: 4 * count bytes each.
  void Apply(const std::byte* source, size_t count, std::byte* target) const;

  /// Multiplications an element that applying takes.
  double MeanSteps() const;

  size_t step_count() const { return wide_.size(); }

 private:
  void Multiply(const std::byte* source, size_t count, std::byte* target) const;
  void BuildTable();
  void ApplyTable(const std::byte* source, size_t count, std::byte* target) const;

  std::vector<double> wide_;     ///< a factor a step
  std::vector<float> narrow_;    ///< the same; empty where F32 does not hold them all
  std::vector<uint32_t> table_;  ///< what an element loses by the top bits of its mantissa; may be empty
  size_t uneven_count_ = 0;      ///< entries of the table that say nothing
};

}  // namespace flyweight
