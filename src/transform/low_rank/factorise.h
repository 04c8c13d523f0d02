#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "transform/low_rank/low_rank_kernels.h"

namespace flyweight {

/// The directions in which a matrix's rows have most of their energy: `kFactorLanes` orthonormal vectors, strongest
/// first, component k of column j at [j * kFactorLanes + k].
struct RowBasis {
  size_t columns = 0;
  std::vector<float> vectors;
  std::vector<double> energies;  ///< of the rows along each vector: sums of squares, descending
};

/// Finds the basis of some rows, `columns` values each, by subspace iteration with a start that is always the same. All
/// sums have a fixed order, so every machine finds the same. Source: Halko, Martinsson, Tropp, "Finding structure with
/// randomness" (arXiv:0909.4061), algorithm 4.4. Precondition: columns >= kFactorLanes.
RowBasis FindRowBasis(std::span<const float> rows, size_t columns);

/// A basis that fits more rows than those it was found in better: one more iteration over all of them.
class BasisRefinement {
 public:
  explicit BasisRefinement(size_t columns) : vectors_(columns * kFactorLanes) {}

  /// Adds rows with their components on the basis before.
  void Add(std::span<const float> rows, std::span<const float> components);

  /// The refined basis, its vectors in the order of those before. Its energies are left empty.
  RowBasis Finish() &&;

 private:
  std::vector<float> vectors_;
};

/// The components of rows: kFactorLanes numbers each.
void ProjectOnBasis(const RowBasis& basis, std::span<const float> rows, std::span<float> components);

}  // namespace flyweight
