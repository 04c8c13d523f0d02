#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace flyweight {

/// A matrix of low rank: scale * left * right, with rows * rank and rank * columns 16-bit integers.
class LowRank {
 public:
  /// `left` and `right` stand component by component: rows, or columns, numbers each. Preconditions: rank and columns
  /// are not 0; sizes are multiples of them.
  LowRank(size_t rank, size_t columns, float scale, std::span<const int16_t> left, std::span<const int16_t> right);

  /// Subtracts the matrix's elements from `first_element`, row by row, from F32 values. A sum of products is taken
  /// modulo 2^32, rounded to F32 and multiplied by the scale there; infinities and NaN stay. Precondition: the elements
  /// lie in the matrix.
  void SubtractFrom(uint64_t first_element, std::span<float> values) const;

  size_t rank() const { return rank_; }
  size_t columns() const { return columns_; }

 private:
  size_t rank_;
  size_t columns_;
  size_t pair_count_;  ///< of components, the last filled up with zeros
  float scale_;
  std::vector<int16_t> left_;   ///< row by row, all components of one
  std::vector<int16_t> right_;  ///< pair by pair, column by column, both components
};

}  // namespace flyweight
