#include "transform/differences/differences.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

TEST(Differences, AreUndoneWhateverTheElements) {
  std::mt19937 random(1);
  for (size_t element_bytes : {2, 4, 8}) {
    for (size_t count : {0, 1, 2, 1000}) {
      Bytes elements(count * element_bytes), differences(elements.size());
      for (std::byte& byte : elements) byte = static_cast<std::byte>(random());
      TakeDifferences(elements.data(), count, element_bytes, differences.data());
      AddDifferences(differences.data(), count, element_bytes);
      EXPECT_EQ(differences, elements);
    }
  }
}

TEST(Differences, OfSmallStepsAreSmallInBothDirections) {
  const uint16_t elements[] = {1, 2, 4, 3, 0, 65535, 0};
  const uint16_t expected[] = {2, 2, 4, 1, 5, 1, 2};
  uint16_t differences[7];
  TakeDifferences(reinterpret_cast<const std::byte*>(elements), 7, 2, reinterpret_cast<std::byte*>(differences));
  EXPECT_EQ(std::memcmp(differences, expected, sizeof expected), 0);
}

TEST(LooksSmooth, TellsIndicesFromNoise) {
  std::vector<uint64_t> indices(5000);
  std::vector<uint32_t> noise(5000);
  std::mt19937 random(2);
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = 1000 + 3 * i;
  for (uint32_t& value : noise) value = static_cast<uint32_t>(random());
  EXPECT_TRUE(LooksSmooth(reinterpret_cast<const std::byte*>(indices.data()), indices.size(), 8));
  EXPECT_FALSE(LooksSmooth(reinterpret_cast<const std::byte*>(noise.data()), noise.size(), 4));
  EXPECT_FALSE(LooksSmooth(reinterpret_cast<const std::byte*>(indices.data()), 100, 8));
  EXPECT_FALSE(LooksSmooth(reinterpret_cast<const std::byte*>(indices.data()), 5000, 1));
}

}  // namespace
}  // namespace flyweight
