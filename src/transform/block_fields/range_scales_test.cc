#include "transform/block_fields/range_scales.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "base/bytes.h"
#include "support/block_weights.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

// The bytes of scales and minima, each in its stream.
struct Numbers {
  std::vector<Bytes> streams;

  explicit Numbers(size_t count) : streams(4, Bytes(count)) {}
  Numbers(const Bytes& blocks, size_t block_bytes) : Numbers(blocks.size() / block_bytes) {
    for (size_t i = 0; i < streams[0].size(); ++i) {
      for (size_t s = 0; s < 4; ++s) streams[s][i] = blocks[i * block_bytes + s];
    }
  }
  ScaleBytes bytes() { return {streams[0].data(), streams[1].data(), streams[2].data(), streams[3].data()}; }
  uint16_t scale(size_t i) const {
    return static_cast<uint16_t>(std::to_integer<unsigned>(streams[0][i]) | std::to_integer<unsigned>(streams[1][i])
                                                                                << 8);
  }
  void set_scale(size_t i, uint16_t word) {
    streams[0][i] = static_cast<std::byte>(word & 255);
    streams[1][i] = static_cast<std::byte>(word >> 8);
  }
};

TEST(RangeScales, ScalesOfBf16WeightsFollowFromMaxima) {
  test::Random random(1);
  for (auto [dtype, make] : {std::pair(DType::kGgmlQ80, &test::MakeQ80), std::pair(DType::kGgmlQ41, &test::MakeQ41)}) {
    const BlockLayout& layout = *FindBlockLayout(dtype);
    constexpr size_t kBlocks = 2000;
    Numbers numbers(make(kBlocks, true, random), layout.block_bytes);
    Numbers before = numbers;
    ASSERT_TRUE(ScalesToMaxima(layout, kBlocks, numbers.bytes())) << Describe(dtype).name;
    EXPECT_FALSE(numbers.streams == before.streams);
    MaximaToScales(layout, kBlocks, numbers.bytes());
    EXPECT_TRUE(numbers.streams == before.streams);
  }
}

TEST(RangeScales, OtherScalesStayAsTheyWere) {
  test::Random random(2);
  const BlockLayout& layout = *FindBlockLayout(DType::kGgmlQ80);
  Numbers numbers(test::MakeQ80(500, false, random), layout.block_bytes);
  Numbers before = numbers;
  EXPECT_FALSE(ScalesToMaxima(layout, 500, numbers.bytes()));
  EXPECT_TRUE(numbers.streams == before.streams);
}

TEST(RangeScales, TheLargestMagnitudeDividedByTheSteps) {
  const BlockLayout& layout = *FindBlockLayout(DType::kGgmlQ80);
  Numbers numbers(1);
  numbers.set_scale(0, std::rotl(uint16_t{0x42FE}, 1));  // 127
  MaximaToScales(layout, 1, numbers.bytes());
  EXPECT_EQ(numbers.scale(0), 0x3C00);
}

TEST(RangeScales, MaximumLessMinimumDividedByTheSteps) {
  const BlockLayout& layout = *FindBlockLayout(DType::kGgmlQ41);
  Numbers numbers(1);
  numbers.set_scale(0, std::rotl(uint16_t{0x4120}, 1));  // 10
  numbers.streams[3][0] = std::byte{0xC5};               // -5
  MaximaToScales(layout, 1, numbers.bytes());
  EXPECT_EQ(numbers.scale(0), 0x3C00);
}

// With one step and no minimum a scale is the maximum itself, rounded.
TEST(RangeScales, RoundsEveryBf16ToF16AsIeeeDoes) {
  BlockLayout layout;
  layout.range = {1, false};
  Numbers numbers(1);
  for (unsigned word = 0; word < 0x10000; ++word) {
    bool is_nan = (word & 0x7F80) == 0x7F80 && (word & 0x7F) != 0;
    numbers.set_scale(0, std::rotl(static_cast<uint16_t>(word), 1));
    MaximaToScales(layout, 1, numbers.bytes());
    double value = (word & 0x7F80) == 0x7F80 ? 1e300 : test::DecodeFloat(test::kFormatBF16, word & 0x7FFF);
    auto expected = static_cast<uint16_t>(test::EncodeFloat(test::kFormatF16, value) | (word & 0x8000));
    if (is_nan) {
      ASSERT_EQ(numbers.scale(0), 0x7C00 | (word & 0x8000)) << word;
    } else {
      ASSERT_EQ(numbers.scale(0), expected) << word;
    }
  }
}

// A maximum of 0 leaves the minimum, which is an F16: every one comes back.
TEST(RangeScales, WidensEveryF16) {
  BlockLayout layout;
  layout.range = {1, true};
  Numbers numbers(1);
  for (unsigned word = 0; word < 0x7C00; ++word) {
    numbers.set_scale(0, 0);
    numbers.streams[2][0] = static_cast<std::byte>(word & 255);
    numbers.streams[3][0] = static_cast<std::byte>(word >> 8 | 0x80);
    MaximaToScales(layout, 1, numbers.bytes());
    ASSERT_EQ(numbers.scale(0), word);
  }
}

}  // namespace
}  // namespace flyweight
