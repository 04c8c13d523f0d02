#include "delta/compare.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace flyweight {
namespace {

template <typename T>
ByteSpan BytesOf(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

TEST(CompareElements, CountsStepsAcrossZero) {
  // Smallest subnormals on both sides of zero are two steps apart; -0 and +0 are different bytes and no step.
  std::vector<uint16_t> a = {0x8001, 0x8000, 0x3f80, 0x3f80};
  std::vector<uint16_t> b = {0x0001, 0x0000, 0x3f80, 0x3f82};
  ElementDifference found = CompareElements(DType::kBF16, BytesOf(a), DType::kBF16, BytesOf(b));
  EXPECT_EQ(found.element_count, 4U);
  EXPECT_EQ(found.changed_count, 3U);
  EXPECT_EQ(found.largest_ulps, 2U);
  EXPECT_DOUBLE_EQ(found.largest_difference, 2.0 / 128);
}

TEST(CompareElements, TheFurthestDoublesAreApartByAllSteps) {
  double largest = std::numeric_limits<double>::max();
  std::vector<double> a = {-largest};
  std::vector<double> b = {largest};
  ElementDifference found = CompareElements(DType::kF64, BytesOf(a), DType::kF64, BytesOf(b));
  EXPECT_EQ(found.largest_ulps, 2 * uint64_t{0x7fefffffffffffff});
}

TEST(CompareElements, NotFiniteElementsStayOutOfTheSums) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> a = {1, nan, 2, infinity};
  std::vector<float> b = {3, 1, infinity, infinity};
  ElementDifference found = CompareElements(DType::kF32, BytesOf(a), DType::kF32, BytesOf(b));
  EXPECT_EQ(found.changed_count, 3U);
  EXPECT_EQ(found.not_finite_count, 2U);
  EXPECT_DOUBLE_EQ(found.squared_difference, 4);
  EXPECT_DOUBLE_EQ(found.squared_base, 1);
}

TEST(CompareElements, DifferentFloatsAreComparedByValue) {
  std::vector<float> a = {0.5F, -1.0F, 65504.0F, 0x1p-24F, 0.1F};
  std::vector<uint16_t> half = {0x3800, 0xbc00, 0x7bff, 0x0001, 0x2e66};
  ElementDifference found = CompareElements(DType::kF32, BytesOf(a), DType::kF16, BytesOf(half));
  EXPECT_EQ(found.changed_count, 1U);
  EXPECT_LT(found.largest_difference, 1e-4);
  EXPECT_GT(found.largest_difference, 0);
}

TEST(CompareElements, OtherTypesAreComparedAsWholeBytes) {
  std::vector<int32_t> a = {1, 2, 3};
  std::vector<int32_t> b = {1, 5, 3};
  EXPECT_EQ(CompareElements(DType::kI32, BytesOf(a), DType::kI32, BytesOf(b)).changed_count, 1U);
  std::vector<uint8_t> nibbles = {0x12, 0x34};
  std::vector<uint8_t> others = {0x12, 0x35};
  ElementDifference found = CompareElements(DType::kF4, BytesOf(nibbles), DType::kF4, BytesOf(others));
  EXPECT_EQ(found.element_count, 4U);
  EXPECT_EQ(found.changed_count, 2U);
  EXPECT_FALSE(AreComparable(DType::kI32, DType::kF32));
  EXPECT_TRUE(AreComparable(DType::kF64, DType::kF16));
}

TEST(CompareElements, SumsOfPartsAddUp) {
  std::vector<float> a(1000);
  std::vector<float> b(1000);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i));
    b[i] = i % 3 == 0 ? a[i] * 1.5F : a[i];
  }
  ElementDifference whole = CompareElements(DType::kF32, BytesOf(a), DType::kF32, BytesOf(b));
  ElementDifference parts;
  for (size_t begin : {size_t{0}, size_t{400}}) {
    size_t size = begin == 0 ? 400 : 600;
    parts.Add(CompareElements(DType::kF32, BytesOf(a).subspan(begin * 4, size * 4), DType::kF32,
                              BytesOf(b).subspan(begin * 4, size * 4)));
  }
  EXPECT_EQ(parts.element_count, whole.element_count);
  EXPECT_EQ(parts.changed_count, whole.changed_count);
  EXPECT_EQ(parts.largest_ulps, whole.largest_ulps);
  EXPECT_NEAR(parts.squared_difference, whole.squared_difference, 1e-9);
}

}  // namespace
}  // namespace flyweight
