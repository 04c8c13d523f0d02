#include "transform/low_rank/factorise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "simd/isa.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::ProjectRow)> kProjectRow = FLYWEIGHT_ISA_TABLE(ProjectRow);
constexpr IsaTable<decltype(&scalar::SpreadRow)> kSpreadRow = FLYWEIGHT_ISA_TABLE(SpreadRow);

constexpr size_t kLanes = kFactorLanes;
constexpr int kIterations = 3;
constexpr int kJacobiSweeps = 8;

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

/// Makes the vectors orthonormal, one by one (modified Gram-Schmidt); one that depends on those before becomes 0.
void Orthonormalise(std::vector<float>& vectors, size_t columns) {
  std::vector<std::vector<double>> own(kLanes, std::vector<double>(columns));
  for (size_t k = 0; k < kLanes; ++k) {
    for (size_t j = 0; j < columns; ++j) own[k][j] = static_cast<double>(vectors[j * kLanes + k]);
    const double before = std::inner_product(own[k].begin(), own[k].end(), own[k].begin(), 0.0);
    for (size_t other = 0; other < k; ++other) {
      const double along = std::inner_product(own[k].begin(), own[k].end(), own[other].begin(), 0.0);
      for (size_t j = 0; j < columns; ++j) own[k][j] -= along * own[other][j];
    }
    const double energy = std::inner_product(own[k].begin(), own[k].end(), own[k].begin(), 0.0);
    const double factor = energy > 1e-12 * before ? 1 / std::sqrt(energy) : 0;
    for (double& value : own[k]) value *= factor;
    for (size_t j = 0; j < columns; ++j) vectors[j * kLanes + k] = static_cast<float>(own[k][j]);
  }
}

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
void SortByEnergy(std::span<const float> rows, RowBasis& basis) {
  Square gram = {}, turned = {};
  std::array<float, kLanes> components;
  for (size_t begin = 0; begin < rows.size(); begin += basis.columns) {
    ProjectOnBasis(basis, rows.subspan(begin, basis.columns), components);
    for (size_t p = 0; p < kLanes; ++p)
      for (size_t q = 0; q < kLanes; ++q) gram[p][q] += static_cast<double>(components[p]) * components[q];
  }
  Diagonalise(gram, turned);
  std::array<size_t, kLanes> order;
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&gram](size_t a, size_t b) { return gram[a][a] != gram[b][b] ? gram[a][a] > gram[b][b] : a < b; });
  for (size_t k : order) basis.energies.push_back(std::max(0.0, gram[k][k]));
  for (size_t j = 0; j < basis.columns; ++j) {
    float* at = basis.vectors.data() + j * kLanes;
    std::array<float, kLanes> old;
    std::copy_n(at, kLanes, old.begin());
    for (size_t k = 0; k < kLanes; ++k) {
      double sum = 0;
      for (size_t p = 0; p < kLanes; ++p) sum += static_cast<double>(old[p]) * turned[p][order[k]];
      at[k] = static_cast<float>(sum);
    }
  }
}

}  // namespace

RowBasis FindRowBasis(std::span<const float> rows, size_t columns) {
  RowBasis basis;
  basis.columns = columns;
  basis.vectors.resize(columns * kLanes);
  FillStart(basis.vectors);
  Orthonormalise(basis.vectors, columns);
  const auto spread = kSpreadRow.Pick();
  std::array<float, kLanes> components;
  for (int i = 0; i < kIterations; ++i) {
    std::vector<float> next(basis.vectors.size());
    for (size_t begin = 0; begin < rows.size(); begin += columns) {
      const std::span<const float> row = rows.subspan(begin, columns);
      ProjectOnBasis(basis, row, components);
      spread(row.data(), columns, components.data(), next.data());
    }
    basis.vectors = std::move(next);
    Orthonormalise(basis.vectors, columns);
  }
  SortByEnergy(rows, basis);
  return basis;
}

void ProjectOnBasis(const RowBasis& basis, std::span<const float> row, std::span<float> components) {
  kProjectRow.Pick()(row.data(), row.size(), basis.vectors.data(), components.data());
}

}  // namespace flyweight
