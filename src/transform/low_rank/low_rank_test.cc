#include "transform/low_rank/low_rank.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "simd/isa.h"
#include "transform/low_rank/factorise.h"

namespace flyweight {
namespace {

struct Factors {
  size_t rank;
  size_t rows;
  size_t columns;
  std::vector<int16_t> left;
  std::vector<int16_t> right;
};

Factors SomeFactors(size_t rank, size_t rows, size_t columns) {
  std::mt19937 random(static_cast<uint32_t>(rank * 1000 + columns));
  Factors factors{rank, rows, columns, std::vector<int16_t>(rank * rows), std::vector<int16_t>(rank * columns)};
  for (int16_t& number : factors.left) number = static_cast<int16_t>(random());
  for (int16_t& number : factors.right) number = static_cast<int16_t>(random());
  factors.left[0] = factors.right[0] = std::numeric_limits<int16_t>::min();
  return factors;
}

std::vector<uint32_t> Bits(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

std::vector<float> OneByOne(const Factors& factors, float scale, size_t first, std::vector<float> values) {
  for (size_t n = 0; n < values.size(); ++n) {
    const size_t i = (first + n) / factors.columns, j = (first + n) % factors.columns;
    uint32_t sum = 0;
    for (size_t k = 0; k < factors.rank; ++k)
      sum += static_cast<uint32_t>(factors.left[k * factors.rows + i] * factors.right[k * factors.columns + j]);
    const float product = static_cast<float>(static_cast<int32_t>(sum)) * scale;
    if (std::isfinite(values[n])) values[n] -= product;
  }
  return values;
}

TEST(LowRank, SubtractsExactProductsOnEveryIsa) {
  std::mt19937 random(7);
  for (Isa isa : SupportedIsas()) {
    ForceIsa(isa);
    for (auto [rank, columns] : {std::pair<size_t, size_t>{1, 1}, {2, 64}, {5, 37}, {16, 200}, {64, 131}}) {
      const Factors factors = SomeFactors(rank, 9, columns);
      const float scale = 1.25e-7F;
      const LowRank matrix(rank, columns, scale, factors.left, factors.right);
      for (size_t first : {size_t{0}, columns / 2, 3 * columns}) {
        std::vector<float> values(9 * columns - first);
        for (float& value : values) value = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31F;
        values.front() = std::bit_cast<float>(0x7F800001);
        values.back() = -std::numeric_limits<float>::infinity();
        const auto expected = Bits(OneByOne(factors, scale, first, values));
        matrix.SubtractFrom(first, values);
        EXPECT_EQ(Bits(values), expected) << IsaName(isa) << " rank " << rank << " columns " << columns;
      }
    }
  }
  ForceIsa(std::nullopt);
}

TEST(LowRank, LeavesElementsOfZeroRowsAsTheyAre) {
  const std::vector<int16_t> left = {0, 0}, right(40, 3);
  std::vector<float> values(80, -0.0F);
  LowRank(1, 40, 1.0F, left, right).SubtractFrom(0, values);
  for (uint32_t bits : Bits(values)) EXPECT_EQ(bits, 0x80000000u);
}

std::vector<float> RowsOfRank(size_t rank, size_t rows, size_t columns, float noise) {
  std::mt19937 random(11);
  auto uniform = [&random] { return static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31F; };
  std::vector<float> left(rank * rows), right(rank * columns), matrix(rows * columns);
  for (float& value : left) value = uniform();
  for (float& value : right) value = uniform();
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < columns; ++j) {
      float& sum = matrix[i * columns + j];
      sum = noise * uniform();
      for (size_t k = 0; k < rank; ++k) sum += left[k * rows + i] * right[k * columns + j] / static_cast<float>(k + 1);
    }
  }
  return matrix;
}

TEST(FindRowBasis, HoldsAllEnergyOfAMatrixOfLowRank) {
  const std::vector<float> rows = RowsOfRank(5, 61, 100, 0);
  const RowBasis basis = FindRowBasis(rows, 100);
  double total = 0, held = 0;
  for (float value : rows) total += static_cast<double>(value) * value;
  for (size_t k = 0; k < 5; ++k) held += basis.energies[k];
  EXPECT_NEAR(held / total, 1, 1e-5);
  for (size_t k = 1; k < kFactorLanes; ++k) EXPECT_LE(basis.energies[k], basis.energies[k - 1]);
  EXPECT_LT(basis.energies[5], 1e-6 * total);
}

TEST(FindRowBasis, IsTheSameOnEveryIsa) {
  const std::vector<float> rows = RowsOfRank(3, 50, 77, 0.1F);
  std::vector<uint32_t> first;
  for (Isa isa : SupportedIsas()) {
    ForceIsa(isa);
    const RowBasis basis = FindRowBasis(rows, 77);
    std::vector<float> components(50 * kFactorLanes);
    ProjectOnBasis(basis, rows, components);
    BasisRefinement refinement(77);
    refinement.Add(rows, components);
    const RowBasis refined = std::move(refinement).Finish();
    components.insert(components.end(), refined.vectors.begin(), refined.vectors.end());
    if (first.empty()) first = Bits(components);
    EXPECT_EQ(Bits(components), first) << IsaName(isa);
  }
  ForceIsa(std::nullopt);
}

TEST(FindRowBasis, OfNothingIsNothing) {
  const RowBasis basis = FindRowBasis(std::vector<float>(64 * 40), 40);
  for (double energy : basis.energies) EXPECT_EQ(energy, 0);
  for (float value : basis.vectors) EXPECT_EQ(value, 0);
}

}  // namespace
}  // namespace flyweight
