#include "transform/low_rank/factorise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "simd/isa.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::ProjectRows)> kProjectRows = FLYWEIGHT_ISA_TABLE(ProjectRows);
constexpr IsaTable<decltype(&scalar::SpreadRows)> kSpreadRows = FLYWEIGHT_ISA_TABLE(SpreadRows);

constexpr size_t kLanes = kFactorLanes;
constexpr int kIterations = 2;
constexpr int kJacobiSweeps = 6;

using Square = std::array<std::array<double, kLanes>, kLanes>;

/// Numbers from -1 to 1 without a pattern (Steele, Lea, Flood: SplitMix64).
void FillStart(std::vector<float>& vectors) {
  uint64_t state = 1;
  for (float& value : vectors) {
    state += 0x9E3779B97F4A7C15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    value = static_cast<float>(static_cast<int32_t>(z >> 32)) * 0x1p-31F;
  }
}

/// The products of all pairs of components.
Square Gram(std::span<const float> vectors) {
  Square gram = {};
  for (size_t at = 0; at < vectors.size(); at += kLanes) {
    std::array<double, kLanes> own;
    for (size_t k = 0; k < kLanes; ++k) own[k] = static_cast<double>(vectors[at + k]);
    for (size_t p = 0; p < kLanes; ++p)
      for (size_t q = 0; q < kLanes; ++q) gram[p][q] += own[p] * own[q];
  }
  return gram;
}

/// The inverse of the upper triangle whose square `gram` is (Cholesky), transposed; a component that depends on those
/// before it becomes 0.
Square InverseRoot(const Square& gram) {
  Square root = {}, inverse = {};
  for (size_t p = 0; p < kLanes; ++p) {
    for (size_t q = 0; q < p; ++q) {
      double rest = gram[p][q];
      for (size_t k = 0; k < q; ++k) rest -= root[p][k] * root[q][k];
      root[p][q] = root[q][q] > 0 ? rest / root[q][q] : 0;
    }
    double rest = gram[p][p];
    for (size_t k = 0; k < p; ++k) rest -= root[p][k] * root[p][k];
    root[p][p] = rest > 1e-11 * gram[p][p] ? std::sqrt(rest) : 0;
    if (root[p][p] == 0) continue;
    inverse[p][p] = 1 / root[p][p];
    for (size_t q = 0; q < p; ++q) {
      double sum = 0;
      for (size_t k = q; k < p; ++k) sum += root[p][k] * inverse[k][q];
      inverse[p][q] = -sum / root[p][p];
    }
  }
  return inverse;
}

/// Component k becomes the sum of turn[k][p] times component p.
void Turn(const Square& turn, std::vector<float>& vectors) {
  for (size_t at = 0; at < vectors.size(); at += kLanes) {
    std::array<double, kLanes> sums = {};
    for (size_t p = 0; p < kLanes; ++p) {
      const auto value = static_cast<double>(vectors[at + p]);
      for (size_t k = 0; k < kLanes; ++k) sums[k] += turn[k][p] * value;
    }
    for (size_t k = 0; k < kLanes; ++k) vectors[at + k] = static_cast<float>(sums[k]);
  }
}

void Orthonormalise(std::vector<float>& vectors) { Turn(InverseRoot(Gram(vectors)), vectors); }

/// Rotates a symmetric matrix until it is diagonal (Jacobi); `turned` collects the rotations.
void Diagonalise(Square& matrix, Square& turned) {
  for (size_t k = 0; k < kLanes; ++k) turned[k][k] = 1;
  for (int sweep = 0; sweep < kJacobiSweeps; ++sweep) {
    for (size_t p = 0; p < kLanes; ++p) {
      for (size_t q = p + 1; q < kLanes; ++q) {
        if (matrix[p][q] == 0) continue;
        const double theta = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q]);
        const double tangent = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double cosine = 1 / std::sqrt(tangent * tangent + 1), sine = tangent * cosine;
        auto turn = [cosine, sine](double& a, double& b) {
          const double x = a, y = b;
          a = cosine * x - sine * y;
          b = sine * x + cosine * y;
        };
        for (size_t k = 0; k < kLanes; ++k) turn(matrix[k][p], matrix[k][q]);
        for (size_t k = 0; k < kLanes; ++k) turn(matrix[p][k], matrix[q][k]);
        for (size_t k = 0; k < kLanes; ++k) turn(turned[k][p], turned[k][q]);
      }
    }
  }
}

/// Turns the basis so that its vectors are the principal ones of the rows, strongest first.
void SortByEnergy(std::span<const float> components, RowBasis& basis) {
  Square gram = Gram(components), turned = {}, sorted = {};
  Diagonalise(gram, turned);
  std::array<size_t, kLanes> order;
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&gram](size_t a, size_t b) { return gram[a][a] != gram[b][b] ? gram[a][a] > gram[b][b] : a < b; });
  for (size_t k = 0; k < kLanes; ++k) {
    basis.energies.push_back(std::max(0.0, gram[order[k]][order[k]]));
    for (size_t p = 0; p < kLanes; ++p) sorted[k][p] = turned[p][order[k]];
  }
  Turn(sorted, basis.vectors);
}

/// Calls visit(rows, components) for kProjectedRows of both at a time, the last filled up with zeros.
template <typename Visit>
void ForEachFew(std::span<const float> rows, std::span<const float> components, size_t columns, const Visit& visit) {
  const size_t row_count = rows.size() / columns;
  size_t row = 0;
  for (; row + kProjectedRows <= row_count; row += kProjectedRows)
    visit(rows.data() + row * columns, components.data() + row * kLanes);
  if (row == row_count) return;
  std::vector<float> last_rows(kProjectedRows * columns), last_components(kProjectedRows * kLanes);
  std::copy(rows.begin() + static_cast<ptrdiff_t>(row * columns), rows.end(), last_rows.begin());
  std::copy(components.begin() + static_cast<ptrdiff_t>(row * kLanes), components.end(), last_components.begin());
  visit(last_rows.data(), last_components.data());
}

}  // namespace

RowBasis FindRowBasis(std::span<const float> rows, size_t columns) {
  RowBasis basis;
  basis.columns = columns;
  basis.vectors.resize(columns * kLanes);
  FillStart(basis.vectors);
  Orthonormalise(basis.vectors);
  std::vector<float> components(rows.size() / columns * kLanes);
  ProjectOnBasis(basis, rows, components);
  for (int i = 0; i < kIterations; ++i) {
    BasisRefinement refinement(columns);
    refinement.Add(rows, components);
    basis = std::move(refinement).Finish();
    ProjectOnBasis(basis, rows, components);
  }
  SortByEnergy(components, basis);
  return basis;
}

void BasisRefinement::Add(std::span<const float> rows, std::span<const float> components) {
  const size_t columns = vectors_.size() / kLanes;
  const auto spread = kSpreadRows.Pick();
  ForEachFew(rows, components, columns,
             [&](const float* some, const float* weights) { spread(some, columns, weights, vectors_.data()); });
}

RowBasis BasisRefinement::Finish() && {
  Orthonormalise(vectors_);
  RowBasis basis;
  basis.columns = vectors_.size() / kLanes;
  basis.vectors = std::move(vectors_);
  return basis;
}

void ProjectOnBasis(const RowBasis& basis, std::span<const float> rows, std::span<float> components) {
  const auto project = kProjectRows.Pick();
  const size_t columns = basis.columns, row_count = rows.size() / columns;
  size_t row = 0;
  for (; row + kProjectedRows <= row_count; row += kProjectedRows)
    project(rows.data() + row * columns, columns, basis.vectors.data(), components.data() + row * kLanes);
  if (row == row_count) return;
  std::vector<float> last(kProjectedRows * columns), out(kProjectedRows * kLanes);
  std::copy(rows.begin() + static_cast<ptrdiff_t>(row * columns), rows.end(), last.begin());
  project(last.data(), columns, basis.vectors.data(), out.data());
  std::copy_n(out.begin(), (row_count - row) * kLanes, components.begin() + static_cast<ptrdiff_t>(row * kLanes));
}

}  // namespace flyweight
