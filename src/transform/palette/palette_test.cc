#include "transform/palette/palette.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

TEST(ExpandPalette, WritesTheEntryOfEachIndex) {
  test::Random random(7);
  uint64_t palette[kMaxPaletteEntries];
  for (uint64_t& entry : palette) entry = random.Bits();
  for (size_t width : {2, 4, 8}) {
    std::vector<std::byte> indices = random.Bytes(1000), elements(1000 * width);
    ExpandPalette(palette, width, indices, elements.data());
    for (size_t i = 0; i < indices.size(); ++i) {
      EXPECT_EQ(std::memcmp(elements.data() + i * width, &palette[std::to_integer<size_t>(indices[i])], width), 0);
    }
  }
}

TEST(LargestByte, FindsItAnywhere) {
  EXPECT_EQ(LargestByte({}), 0);
  for (size_t count : {1, 31, 32, 33, 64, 100}) {
    for (size_t at = 0; at < count; ++at) {
      std::vector<std::byte> bytes(count, std::byte{3});
      bytes[at] = std::byte{200};
      EXPECT_EQ(LargestByte(bytes), 200) << count << " " << at;
    }
  }
}

}  // namespace
}  // namespace flyweight
