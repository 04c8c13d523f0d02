#include "erasure/reed_solomon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <string>

#include "erasure/gf16_kernels.h"
#include "simd/isa.h"
#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;
using Rows = std::vector<Bytes>;

/// Words of a row of one piece.
uint16_t WordOf(const Bytes& row, size_t i) {
  return static_cast<uint16_t>(std::to_integer<unsigned>(row[i]) | std::to_integer<unsigned>(row[i + 64]) << 8);
}

/// Group `group` as one buffer, with zeros where a row is lost or does not exist.
Bytes GroupOf(const ReedSolomon& code, size_t group, const Rows& parity, const Rows& data, size_t row_bytes,
              const std::vector<size_t>& lost) {
  Bytes buffer(code.group_rows() * row_bytes);
  for (size_t r = 0; r < code.group_rows(); ++r) {
    size_t position = group * code.group_rows() + r;
    if (std::binary_search(lost.begin(), lost.end(), position)) continue;
    const Rows& rows = group == 0 ? parity : data;
    size_t number = group == 0 ? r : position - code.group_rows();
    if (number < rows.size())
      std::copy(rows[number].begin(), rows[number].end(), buffer.begin() + static_cast<ptrdiff_t>(r * row_bytes));
  }
  return buffer;
}

Bytes RowOf(const Bytes& buffer, size_t row, size_t row_bytes) {
  auto begin = buffer.begin() + static_cast<ptrdiff_t>(row * row_bytes);
  return {begin, begin + static_cast<ptrdiff_t>(row_bytes)};
}

Rows Encode(const ReedSolomon& code, const Rows& data, size_t row_bytes) {
  Bytes sum(code.group_rows() * row_bytes);
  for (size_t group = 1; group < code.group_count(); ++group) {
    Bytes rows = GroupOf(code, group, {}, data, row_bytes, {});
    code.Absorb(group, rows.data(), row_bytes, sum.data());
  }
  code.FinishParity(sum.data(), row_bytes);
  Rows parity;
  for (size_t r = 0; r < code.parity_count(); ++r) parity.push_back(RowOf(sum, r, row_bytes));
  return parity;
}

Rows RandomRows(test::Random& random, size_t count, size_t row_bytes) {
  Rows rows;
  for (size_t r = 0; r < count; ++r) rows.push_back(random.Bytes(row_bytes));
  return rows;
}

/// All stored positions, in ascending order.
std::vector<size_t> StoredPositions(const ReedSolomon& code) {
  std::vector<size_t> positions(code.parity_count() + code.data_count());
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i] = i < code.parity_count() ? i : code.DataPosition(i - code.parity_count());
  }
  return positions;
}

std::vector<size_t> Choose(test::Random& random, std::vector<size_t> from, size_t count) {
  for (size_t i = 0; i < count; ++i) std::swap(from[i], from[random.Between(i, from.size() - 1)]);
  from.resize(count);
  std::sort(from.begin(), from.end());
  return from;
}

void ExpectRecovered(const ReedSolomon& code, const Rows& parity, const Rows& data, const std::vector<size_t>& lost,
                     size_t row_bytes) {
  Bytes sum(code.group_rows() * row_bytes);
  for (size_t group = 0; group < code.group_count(); ++group) {
    Bytes rows = GroupOf(code, group, parity, data, row_bytes, lost);
    code.Absorb(group, rows.data(), row_bytes, sum.data());
  }
  ErasureSolver solver(code, lost);
  Bytes scratch(sum.size());
  solver.Solve(sum.data(), row_bytes, scratch.data());
  size_t seen = 0;
  for (size_t group = 0; group < code.group_count(); ++group) {
    Bytes rows(sum.size(), std::byte{0xA5});
    solver.Recover(group, sum.data(), row_bytes, rows.data());
    for (size_t position : solver.LostIn(group)) {
      const Bytes& expected = group == 0 ? parity[position] : data[position - code.group_rows()];
      ASSERT_TRUE(RowOf(rows, position - group * code.group_rows(), row_bytes) == expected) << position;
      ++seen;
    }
  }
  EXPECT_EQ(seen, lost.size());
}

class OnEveryIsa : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceIsa(GetParam())); }
  void TearDown() override { ForceIsa(std::nullopt); }
};

INSTANTIATE_TEST_SUITE_P(Isas, OnEveryIsa, testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                         [](const auto& each) { return std::string(IsaName(each.param)); });

TEST(Gf16, IsAField) {
  test::Random random(1);
  for (int i = 0; i < 20000; ++i) {
    auto a = static_cast<uint16_t>(random.Bits()), b = static_cast<uint16_t>(random.Bits()),
         c = static_cast<uint16_t>(random.Bits());
    ASSERT_EQ(GfMultiply(a, b), GfMultiply(b, a));
    ASSERT_EQ(GfMultiply(GfMultiply(a, b), c), GfMultiply(a, GfMultiply(b, c)));
    ASSERT_EQ(GfMultiply(a, b ^ c), GfMultiply(a, b) ^ GfMultiply(a, c));
    ASSERT_EQ(GfMultiply(a, 1), a);
    ASSERT_EQ(GfMultiply(a, 0), 0);
    if (a != 0) {
      ASSERT_EQ(GfMultiply(a, GfInverse(a)), 1);
    }
  }
}

TEST(Gf16, EveryElementButZeroIsAPowerOfX) {
  std::vector<bool> seen(kGfOrder);
  for (uint32_t i = 0; i < kGfLogModulus; ++i) {
    ASSERT_FALSE(seen[GfExp(i)]) << i;
    seen[GfExp(i)] = true;
  }
  EXPECT_FALSE(seen[0]);
  EXPECT_EQ(GfExp(16), kGfPolynomial & 0xFFFF) << "x^16 reduced";
}

TEST(Gf16, PointsAreAllElementsAndFollowCantor) {
  std::vector<bool> seen(kGfOrder);
  for (size_t i = 0; i < kGfOrder; ++i) {
    uint16_t point = GfPoint(i);
    ASSERT_FALSE(seen[point]) << i;
    seen[point] = true;
    ASSERT_EQ(GfMultiply(point, point) ^ point, GfPoint(i >> 1)) << "v^2 + v drops the lowest coordinate";
  }
}

TEST_P(OnEveryIsa, MultiplyIsTheFieldsOwn) {
  test::Random random(2);
  for (int round = 0; round < 300; ++round) {
    auto element = static_cast<uint16_t>(random.Bits());
    Bytes row = random.Bytes(kGfPieceBytes), product = row;
    PickGfKernels().multiply(product.data(), row.size(), element, GfTables());
    for (size_t i = 0; i < 64; ++i) ASSERT_EQ(WordOf(product, i), GfMultiply(WordOf(row, i), element));
  }
}

TEST_P(OnEveryIsa, ButterfliesAreThoseOfTheScalarKernels) {
  test::Random random(3);
  const GfKernels& kernels = PickGfKernels();
  for (size_t distance : {1, 2, 4}) {
    for (size_t row_bytes : {128, 384}) {
      Bytes rows = random.Bytes(4 * distance * row_bytes), reference = rows;
      GfButterflies butterflies{rows.data(),
                                row_bytes,
                                distance,
                                {static_cast<uint16_t>(random.Bits()), static_cast<uint16_t>(random.Bits()),
                                 static_cast<uint16_t>(random.Bits())},
                                &GfTables()};
      GfButterflies expected = butterflies;
      expected.rows = reference.data();
      kernels.forward_quads(butterflies), scalar::kGfKernels.forward_quads(expected);
      ASSERT_TRUE(rows == reference);
      kernels.inverse_pairs(butterflies), scalar::kGfKernels.inverse_pairs(expected);
      ASSERT_TRUE(rows == reference);
      kernels.inverse_quads(butterflies), scalar::kGfKernels.inverse_quads(expected);
      ASSERT_TRUE(rows == reference);
      kernels.forward_pairs(butterflies), scalar::kGfKernels.forward_pairs(expected);
      ASSERT_TRUE(rows == reference);
      kernels.add(rows.data(), reference.data(), rows.size());
      ASSERT_TRUE(rows == Bytes(rows.size()));
    }
  }
}

TEST_P(OnEveryIsa, InverseUndoesForward) {
  test::Random random(4);
  for (size_t parity_count : {1, 2, 3, 8, 13, 64}) {
    ReedSolomon code(1000, parity_count);
    Bytes rows = random.Bytes(code.group_rows() * 128), transformed = rows;
    code.Forward(5, transformed.data(), 128);
    code.Inverse(5, transformed.data(), 128);
    EXPECT_TRUE(transformed == rows) << parity_count;
  }
}

/// The values of Lagrange's interpolation of the codeword at one of its points, by the definition alone.
uint16_t Interpolate(const std::vector<size_t>& positions, const std::vector<uint16_t>& values, size_t at) {
  uint16_t sum = 0;
  for (size_t i = 0; i < positions.size(); ++i) {
    uint16_t term = values[i];
    for (size_t j = 0; j < positions.size(); ++j) {
      if (j == i) continue;
      term = GfMultiply(term, GfMultiply(GfPoint(at) ^ GfPoint(positions[j]),
                                         GfInverse(GfPoint(positions[i]) ^ GfPoint(positions[j]))));
    }
    sum ^= term;
  }
  return sum;
}

// With 5 data rows, 3 parity rows and so groups of 4: in the 16 points of the first 4 dimensions a codeword is a
// polynomial of degree < 12 that is 0 at the 7 points behind the data.
TEST_P(OnEveryIsa, ParityIsThePolynomialsValue) {
  test::Random random(5);
  ReedSolomon code(5, 3);
  Rows data = RandomRows(random, 5, 128);
  Rows parity = Encode(code, data, 128);
  std::vector<size_t> positions(12);
  std::iota(positions.begin(), positions.end(), size_t{4});
  for (size_t word : {0, 17, 63}) {
    std::vector<uint16_t> values(12);
    for (size_t i = 0; i < 5; ++i) values[i] = WordOf(data[i], word);
    for (size_t p = 0; p < 3; ++p) EXPECT_EQ(WordOf(parity[p], word), Interpolate(positions, values, p));
  }
}

struct CodeShape {
  size_t data_count;
  size_t parity_count;
};

TEST_P(OnEveryIsa, AnyErasuresUpToTheParityAreRecovered) {
  test::Random random(6);
  for (auto [data_count, parity_count] : {CodeShape{1, 1},
                                          {1, 3},
                                          {2, 2},
                                          {3, 5},
                                          {7, 1},
                                          {16, 4},
                                          {17, 4},
                                          {20, 20},
                                          {50, 3},
                                          {100, 6},
                                          {33, 64},
                                          {200, 130},
                                          {1000, 53}}) {
    ReedSolomon code(data_count, parity_count);
    Rows data = RandomRows(random, data_count, 128);
    Rows parity = Encode(code, data, 128);
    std::vector<size_t> stored = StoredPositions(code);
    for (size_t count : {size_t{0}, size_t{1}, parity_count / 2, parity_count - 1, parity_count}) {
      ExpectRecovered(code, parity, data, Choose(random, stored, count), 128);
    }
    std::vector<size_t> first(stored.begin(), stored.begin() + static_cast<ptrdiff_t>(parity_count));
    std::vector<size_t> last(stored.end() - static_cast<ptrdiff_t>(std::min(data_count, parity_count)), stored.end());
    ExpectRecovered(code, parity, data, first, 128);
    ExpectRecovered(code, parity, data, last, 128);
  }
}

TEST_P(OnEveryIsa, TheLongestCodewordsWork) {
  test::Random random(7);
  for (auto [data_count, parity_count] : {CodeShape{65535, 1}, {65536 - 1024, 900}}) {
    ASSERT_TRUE(ReedSolomon::Exists(data_count, parity_count));
    ReedSolomon code(data_count, parity_count);
    Rows data = RandomRows(random, data_count, 128);
    Rows parity = Encode(code, data, 128);
    ExpectRecovered(code, parity, data, Choose(random, StoredPositions(code), parity_count), 128);
  }
}

TEST(ReedSolomon, AnySmallSetOfErasuresIsRecovered) {
  ReedSolomon code(4, 3);
  test::Random random(8);
  Rows data = RandomRows(random, 4, 128);
  Rows parity = Encode(code, data, 128);
  std::vector<size_t> stored = StoredPositions(code);
  for (unsigned mask = 0; mask < 1U << stored.size(); ++mask) {
    if (std::popcount(mask) > 3) continue;
    std::vector<size_t> lost;
    for (size_t i = 0; i < stored.size(); ++i) {
      if ((mask >> i & 1) != 0) lost.push_back(stored[i]);
    }
    ExpectRecovered(code, parity, data, lost, 128);
  }
}

TEST(ReedSolomon, ExistsSaysWhatFitsIntoTheField) {
  EXPECT_TRUE(ReedSolomon::Exists(1, 1));
  EXPECT_TRUE(ReedSolomon::Exists(32768, 32768));
  EXPECT_TRUE(ReedSolomon::Exists(65535, 1));
  EXPECT_FALSE(ReedSolomon::Exists(65536, 1));
  EXPECT_FALSE(ReedSolomon::Exists(32769, 32768));
  EXPECT_FALSE(ReedSolomon::Exists(32769, 16385));
  EXPECT_FALSE(ReedSolomon::Exists(0, 1));
  EXPECT_FALSE(ReedSolomon::Exists(1, 0));
  EXPECT_FALSE(ReedSolomon::Exists(uint64_t{1} << 63, uint64_t{1} << 63));
  EXPECT_FALSE(ReedSolomon::Exists(1, ~uint64_t{0}));
}

}  // namespace
}  // namespace flyweight
