#include "transform/byte_planes/byte_planes.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "base/bytes.h"
#include "support/random.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

Bytes Merge(const Bytes& planes, size_t count, size_t width, bool rotate) {
  const std::byte* starts[8] = {};
  for (size_t p = 0; p < width; ++p) starts[p] = planes.data() + p * count;
  Bytes target(planes.size());
  MergePlanes(starts, count, width, rotate, target.data());
  return target;
}

class BytePlanes : public testing::TestWithParam<std::tuple<size_t, bool>> {};

TEST_P(BytePlanes, MergeIsTheInverseOfSplit) {
  auto [width, rotate] = GetParam();
  test::Random random(width);
  for (size_t count : {0, 1, 2, 7, 31, 32, 33, 63, 64, 65, 1000}) {
    Bytes source = random.Bytes(count * width);
    Bytes planes(source.size());
    SplitPlanes(source.data(), count, width, rotate, planes.data());
    EXPECT_TRUE(Merge(planes, count, width, rotate) == source) << count;
  }
}

TEST_P(BytePlanes, PlaneHoldsOneByteOfEachElement) {
  auto [width, rotate] = GetParam();
  constexpr size_t kCount = 5;
  test::Random random(width);
  Bytes source = random.Bytes(kCount * width), planes(source.size());
  SplitPlanes(source.data(), kCount, width, rotate, planes.data());
  for (size_t i = 0; i < kCount; ++i) {
    for (size_t bit = 0; bit < 8 * width; ++bit) {
      auto bit_of = [](std::byte byte, size_t b) { return static_cast<unsigned>(byte) >> b & 1; };
      size_t moved = rotate ? (bit + 1) % (8 * width) : bit;
      EXPECT_EQ(bit_of(planes[moved / 8 * kCount + i], moved % 8), bit_of(source[i * width + bit / 8], bit % 8));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, BytePlanes, testing::Combine(testing::Values(1, 2, 4, 8), testing::Bool()),
                         [](const auto& each) {
                           return "Width" + std::to_string(std::get<0>(each.param)) +
                                  (std::get<1>(each.param) ? "Rotated" : "Plain");
                         });

TEST(SplitPlanes, GivesTheExampleOfItsDescription) {
  Bytes planes(8);
  SplitPlanes(AsBytes("12345678").data(), 4, 2, false, planes.data());
  EXPECT_EQ(AsText(planes), "13572468");
}

TEST(SplitPlanes, RotatedFillsTheLastPlaneWithTheExponent) {
  const float values[] = {1.0F, -1.0F, 1.5F};  // all have the exponent 127
  std::byte planes[12];
  SplitPlanes(std::as_bytes(std::span(values)).data(), 3, 4, true, planes);
  for (size_t i = 9; i < 12; ++i) EXPECT_EQ(planes[i], std::byte{127});
  EXPECT_EQ(planes[1], std::byte{1}) << "the sign is the lowest bit";
}

}  // namespace
}  // namespace flyweight
