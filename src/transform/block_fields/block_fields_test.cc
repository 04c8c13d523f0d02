#include "transform/block_fields/block_fields.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "support/random.h"
#include "transform/block_fields/centre.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

std::vector<const BlockLayout*> AllLayouts() {
  std::vector<const BlockLayout*> layouts;
  for (uint16_t number = kGgmlDTypeBase; number < 256; ++number) {
    if (const BlockLayout* layout = FindBlockLayout(static_cast<DType>(number))) layouts.push_back(layout);
  }
  return layouts;
}

std::string NameOf(const BlockLayout& layout) { return std::string(Describe(layout.dtype).name); }

std::vector<std::byte*> StreamsOf(const BlockLayout& layout, Bytes& streams, size_t block_count) {
  std::vector<std::byte*> starts;
  std::byte* next = streams.data();
  for (uint16_t stream_bytes : layout.stream_bytes) {
    starts.push_back(next);
    next += stream_bytes * block_count;
  }
  return starts;
}

Bytes Split(const BlockLayout& layout, const Bytes& blocks) {
  size_t block_count = blocks.size() / layout.block_bytes;
  Bytes streams(layout.total_stream_bytes * block_count, std::byte{0xA5});
  SplitBlocks(layout, blocks.data(), block_count, streams.data());
  return streams;
}

Bytes Merge(const BlockLayout& layout, Bytes streams) {
  size_t block_count = streams.size() / layout.total_stream_bytes;
  std::vector<std::byte*> starts = StreamsOf(layout, streams, block_count);
  Bytes blocks(layout.block_bytes * block_count, std::byte{0x5A});
  MergeBlocks(layout, starts.data(), block_count, blocks.data());
  return blocks;
}

TEST(BlockLayout, EveryBlockTypeHasOne) {
  size_t described = 0;
  for (uint16_t number = kGgmlDTypeBase; number < 256; ++number) {
    auto dtype = static_cast<DType>(number);
    if (Describe(dtype).dtype != dtype) continue;
    ++described;
    ASSERT_NE(FindBlockLayout(dtype), nullptr) << Describe(dtype).name;
    EXPECT_EQ(FindBlockLayout(dtype)->block_bytes, static_cast<size_t>(Describe(dtype).block_bytes));
  }
  EXPECT_EQ(described, AllLayouts().size());
  EXPECT_EQ(FindBlockLayout(DType::kU8), nullptr);
}

TEST(BlockLayout, StreamsFitTheTables) {
  for (const BlockLayout* layout : AllLayouts()) {
    EXPECT_LE(layout->stream_bytes.size(), kMaxBlockStreams) << NameOf(*layout);
    size_t total = 0;
    for (uint16_t stream_bytes : layout->stream_bytes) total += stream_bytes;
    EXPECT_EQ(total, layout->total_stream_bytes);
    EXPECT_LE(total, 2 * layout->block_bytes);
    const CentreRule& rule = layout->centre;
    if (rule.bits != 0) {
      EXPECT_EQ(layout->stream_bytes.back(), rule.runs * rule.lanes) << NameOf(*layout);
      EXPECT_EQ(layout->stream_bytes.size(), rule.scales > 1 ? 7U : 5U) << NameOf(*layout);
      EXPECT_EQ(layout->block_bytes * 8 - (rule.scales > 1 ? 32U + 2U * (rule.bits == 2 ? 4U : 6U) * rule.scales : 32U),
                unsigned{rule.bits} * rule.fields * rule.lanes * rule.runs);
    }
    const UnitRule& unit = layout->unit;
    if (unit.unit_bytes != 0) {
      EXPECT_EQ(layout->stream_bytes.back(), unit.unit_bytes * unit.units) << NameOf(*layout);
      EXPECT_EQ(unit.half ? 1 : layout->stream_bytes.front(), unit.units) << NameOf(*layout);
    }
  }
}

TEST(BlockFields, MergeIsTheInverseOfSplit) {
  test::Random random(1);
  for (const BlockLayout* layout : AllLayouts()) {
    for (size_t block_count : {1, 2, 777}) {
      Bytes blocks = random.Bytes(layout->block_bytes * block_count);
      EXPECT_TRUE(Merge(*layout, Split(*layout, blocks)) == blocks) << NameOf(*layout) << " " << block_count;
    }
  }
}

TEST(BlockFields, EveryBitOfABlockGoesToOneBitOfAStream) {
  for (const BlockLayout* layout : AllLayouts()) {
    for (size_t bit = 0; bit < layout->block_bytes * 8; ++bit) {
      Bytes block(layout->block_bytes);
      block[bit / 8] = static_cast<std::byte>(1 << (bit % 8));
      int ones = 0;
      for (std::byte byte : Split(*layout, block)) ones += std::popcount(std::to_integer<unsigned>(byte));
      ASSERT_EQ(ones, 1) << NameOf(*layout) << " bit " << bit;
    }
  }
}

TEST(BlockFields, BitsThatNoFieldHasAreLeftOut) {
  test::Random random(2);
  for (const BlockLayout* layout : AllLayouts()) {
    Bytes streams = random.Bytes(layout->total_stream_bytes * 5);
    Bytes blocks = Merge(*layout, streams);
    EXPECT_TRUE(Merge(*layout, Split(*layout, blocks)) == blocks) << NameOf(*layout);
  }
}

// One quant is set in a block that is else zero; where it must come out is that of ggml's own unpacking.
TEST(BlockFields, QuantsAreWhole) {
  const auto quants_of = [](DType dtype, const std::vector<std::pair<size_t, unsigned>>& bytes) {
    const BlockLayout& layout = *FindBlockLayout(dtype);
    Bytes block(layout.block_bytes);
    for (auto [at, value] : bytes) block[at] = static_cast<std::byte>(value);
    Bytes streams = Split(layout, block);
    return Bytes(streams.end() - layout.stream_bytes.back(), streams.end());
  };
  // Element 20 of Q5_0: nibble 4 (high) and top bit 20.
  EXPECT_EQ(quants_of(DType::kGgmlQ50, {{6 + 4, 0x90}, {2 + 2, 0x10}})[20], std::byte{0x19});
  // Element 100 of Q5_K: group 1, second half; top bits in bit 3 of byte 4.
  EXPECT_EQ(quants_of(DType::kGgmlQ5K, {{48 + 32 + 4, 0x70}, {16 + 4, 0x08}})[100], std::byte{0x17});
  // Element 128 + 96 + 7 of Q6_K.
  EXPECT_EQ(quants_of(DType::kGgmlQ6K, {{64 + 32 + 7, 0xB0}, {128 + 32 + 7, 0xC0}})[231], std::byte{0x3B});
  // Elements 128 + 32 + 5 and 128 + 5 of Q3_K share a byte.
  EXPECT_EQ(quants_of(DType::kGgmlQ3K, {{32 + 32 + 5, 0x0E}, {5, 0x20}})[69], std::byte{2 | 7 << 3});
}

TEST(BlockFields, ScalesOfSixBitsAreWhole) {
  const BlockLayout& layout = *FindBlockLayout(DType::kGgmlQ4K);
  Bytes block(layout.block_bytes);
  block[4 + 1] = std::byte{0xC0 | 0x15};  // scale 1, top bits of scale 5
  block[4 + 5] = std::byte{0x80 | 0x2A};  // minimum 1, top bits of minimum 5
  block[4 + 9] = std::byte{0x74};         // low bits of minimum 5 and scale 5
  Bytes streams = Split(layout, block);
  EXPECT_EQ(streams[4 + 1], std::byte{0x15});
  EXPECT_EQ(streams[4 + 5], std::byte{0x34});
  EXPECT_EQ(streams[12 + 1], std::byte{0x2A});
  EXPECT_EQ(streams[12 + 5], std::byte{0x27});
}

TEST(CentreQuants, RestoreIsTheInverseWhateverTheScales) {
  test::Random random(3);
  for (const BlockLayout* layout : AllLayouts()) {
    if (layout->centre.bits == 0) continue;
    constexpr size_t kBlocks = 300;
    Bytes streams = Split(*layout, random.Bytes(layout->block_bytes * kBlocks));
    Bytes before = streams;
    std::vector<std::byte*> starts = StreamsOf(*layout, streams, kBlocks);
    ScaleStreams scales{};
    for (size_t s = 0; s + 1 < starts.size(); ++s) scales[s] = starts[s];
    CentreQuants(*layout, scales, kBlocks, starts.back());
    EXPECT_FALSE(streams == before) << NameOf(*layout);
    RestoreQuants(*layout, scales, kBlocks, starts.back());
    EXPECT_TRUE(streams == before) << NameOf(*layout);
  }
}

// Q4_1 with scale 1 and a minimum: quants are counted from -minimum, and 8 stands for zero.
TEST(CentreQuants, CountsFromTheQuantThatZeroFallsOn) {
  const BlockLayout& layout = *FindBlockLayout(DType::kGgmlQ41);
  struct Case {
    uint16_t scale, minimum;
    uint8_t zero;
  };
  const Case cases[] = {
      {0x3C00, 0xC700, 7},   // -7.0
      {0x3C00, 0xC6E0, 7},   // -6.875
      {0x3C00, 0xC680, 7},   // -6.5 rounds up
      {0x3C00, 0xC67F, 6},   // just under
      {0x3C00, 0x4700, 0},   // all quants are positive
      {0x3C00, 0xCF00, 15},  // all are negative
      {0x0000, 0xC700, 0},   // no scale
      {0x0001, 0x8003, 3},   // subnormal
      {0xBC00, 0x4500, 5},   // both signs turned
  };
  for (const Case& c : cases) {
    Bytes block(layout.block_bytes, std::byte{0x21});
    StoreLe(block.data(), c.scale);
    StoreLe(block.data() + 2, c.minimum);
    Bytes streams = Split(layout, block);
    std::vector<std::byte*> starts = StreamsOf(layout, streams, 1);
    CentreQuants(layout, {starts[0], starts[1], starts[2], starts[3]}, 1, starts[4]);
    unsigned low = (1U - c.zero + 8) & 15, high = (2U - c.zero + 8) & 15;
    for (size_t i = 0; i < 16; ++i) EXPECT_EQ(starts[4][i], static_cast<std::byte>(low | high << 4)) << int{c.zero};
  }
}

}  // namespace
}  // namespace flyweight
