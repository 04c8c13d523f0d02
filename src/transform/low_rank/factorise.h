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

/// The components of a row: kFactorLanes numbers.
void ProjectOnBasis(const RowBasis& basis, std::span<const float> row, std::span<float> components);

}  // namespace flyweight
