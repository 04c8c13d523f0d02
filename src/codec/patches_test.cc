#include "codec/patches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Bytes = std::vector<std::byte>;

constexpr size_t kWordCount = 20480;
constexpr unsigned kSkip = 4095;

// Exponent 120 is coded; patches name 1, 2 and 3 by rank, all others literally.
HeadTable Table() {
  HeadTable table;
  table.count = 1;
  table.second_count = 3;
  table.exponents[0] = 120;
  table.frequency0[0] = table.frequency1[0] = 128;
  table.second = {1, 2, 3};
  return table;
}

// BF16 words, which are heads too.
struct Words {
  Bytes bytes = Bytes(2 * kWordCount);
  std::vector<uint32_t> outside;

  void Set(size_t index, unsigned exponent) {
    StoreLe(bytes.data() + 2 * index, static_cast<uint16_t>(0x8041 | exponent << 7));
  }
  uint16_t Get(size_t index) const { return LoadLe<uint16_t>(bytes.data() + 2 * index); }
};

Words WordsWith(const std::vector<uint32_t>& outside, unsigned exponent) {
  Words words;
  for (size_t i = 0; i < kWordCount; ++i) words.Set(i, 120);
  for (uint32_t index : outside) words.Set(index, exponent);
  words.outside = outside;
  return words;
}

Bytes Write(Words words, const ShiftField& shifts = {}) {
  ByteWriter writer;
  WritePatches(words.outside, HeadKind::k16, words.bytes.data(), shifts, Table(), writer);
  return writer.Release();
}

// Applies patches to words that all have exponent 120, in batches as a decoder does.
Status Apply(const Bytes& patches, Bytes& words, size_t batch = 512, const ShiftField& shifts = {}) {
  HeadTable table = Table();
  PatchReader reader(patches, Describe(FloatLayout::kBF16), table);
  size_t word_count = words.size() / 2;
  for (size_t first = 0; first < word_count; first += batch) {
    size_t count = std::min(batch, word_count - first);
    std::vector<uint8_t> expanded(shifts.empty() ? 0 : count);
    if (!shifts.empty()) shifts.Expand(first, count, expanded.data());
    FLYWEIGHT_TRY(reader.ApplyBatch(first, first + count, shifts.empty() ? nullptr : expanded.data(), words.data()));
  }
  return reader.CheckEnd(word_count);
}

Bytes Patch(std::initializer_list<std::pair<unsigned, unsigned>> gaps_and_ranks) {
  ByteWriter writer;
  for (auto [gap, rank] : gaps_and_ranks) writer.Write(static_cast<uint16_t>(gap << 4 | rank));
  return writer.Release();
}

TEST(WritePatches, StepsOverWideGaps) {
  struct {
    uint32_t word;
    Bytes expected;
  } cases[] = {
      {0, Patch({{0, 1}})},
      {4094, Patch({{4094, 1}})},
      {4095, Patch({{kSkip, 0}, {0, 1}})},
      {4096, Patch({{kSkip, 0}, {1, 1}})},
      {8189, Patch({{kSkip, 0}, {4094, 1}})},
      {8190, Patch({{kSkip, 0}, {kSkip, 0}, {0, 1}})},
      {8191, Patch({{kSkip, 0}, {kSkip, 0}, {1, 1}})},
  };
  for (const auto& each : cases) EXPECT_EQ(Write(WordsWith({each.word}, 2)), each.expected) << each.word;
}

TEST(WritePatches, CountsGapsFromThePatchBefore) {
  EXPECT_EQ(Write(WordsWith({7, 5, 5 + 4095}, 1)), Patch({{5, 0}, {2, 0}, {4093, 0}}));
}

TEST(WritePatches, SpellsOutExponentsThatHaveNoRank) {
  Bytes expected = Patch({{9, 15}});
  expected.push_back(std::byte{200});
  EXPECT_EQ(Write(WordsWith({9}, 200)), expected);
}

TEST(WritePatches, WritesNothingForNothing) { EXPECT_TRUE(Write(WordsWith({}, 0)).empty()); }

TEST(Patches, RoundTripInBatchesOfEverySize) {
  test::Random random(1);
  Words words = WordsWith({}, 0);
  for (size_t i = 0; i < kWordCount; i += random.Below(i % 4096 < 2000 ? 40 : 9000) + 1) {
    words.outside.push_back(static_cast<uint32_t>(i));
    words.Set(i, static_cast<unsigned>(random.OneIn(2) ? random.Between(1, 3) : random.Below(256)));
  }
  Bytes patches = Write(words);
  for (size_t batch : {size_t{1}, size_t{512}, size_t{8192}, kWordCount}) {
    Bytes patched = WordsWith({}, 0).bytes;
    ASSERT_THAT(Apply(patches, patched, batch), IsOk());
    EXPECT_TRUE(patched == words.bytes) << batch;
  }
}

TEST(Patches, HoldExponentsWithoutTheirShifts) {
  std::vector<int8_t> rows(kWordCount / 64 + 1, -3), columns(64, 5);
  ShiftField shifts{rows.data(), columns.data(), 64, 10};
  Words words = WordsWith({100}, 4);  // 2 after the shifts are subtracted
  EXPECT_EQ(Write(words, shifts), Patch({{100, 1}}));
  Bytes patched = WordsWith({}, 0).bytes;
  ASSERT_THAT(Apply(Patch({{100, 1}}), patched, 512, shifts), IsOk());
  EXPECT_TRUE(patched == words.bytes);
}

TEST(Patches, OfHalfFloatsKeepTheOtherBits) {
  const FloatLayoutInfo& info = Describe(FloatLayout::kF16);
  HeadTable table = Table();
  std::vector<uint8_t> shifts(512, 62);
  for (uint16_t word : {uint16_t{0x0000}, uint16_t{0xFFFF}, uint16_t{0x8123}}) {
    Bytes words(2 * 512);
    StoreLe(words.data() + 6, word);
    Bytes patches = Patch({{3, 2}});
    PatchReader reader(patches, info, table);
    ASSERT_THAT(reader.ApplyBatch(0, 512, shifts.data(), words.data()), IsOk());
    EXPECT_EQ(LoadLe<uint16_t>(words.data() + 6), (word & 0x83FF) | ((3 + 62) & 0x1F) << 10);
  }
}

TEST(Patches, OfFloatsKeepTheOtherBits) {
  HeadTable table = Table();
  Bytes words(4 * 512), patches = Patch({{511, 0}});
  StoreLe(words.data() + 4 * 511, uint32_t{0xFFFFFFFF});
  PatchReader reader(patches, Describe(FloatLayout::kF32), table);
  ASSERT_THAT(reader.ApplyBatch(0, 512, nullptr, words.data()), IsOk());
  EXPECT_EQ(LoadLe<uint32_t>(words.data() + 4 * 511), 0x807FFFFF | 1U << 23);
}

struct Malformed {
  std::string name;
  Bytes patches;  ///< for 1024 words
};

const Malformed kMalformed[] = {
    {"HalfAPatch", Bytes(1)},
    {"HalfAPatchAtTheEnd", Bytes(5)},
    {"NoLiteralExponent", Patch({{9, 15}})},
    {"FirstRankThatNamesNothing", Patch({{9, 3}})},
    {"LastRankThatNamesNothing", Patch({{9, 14}})},
    {"JustBehindTheLastWord", Patch({{1024, 0}})},
    {"FarBehindTheLastWord", Patch({{1, 0}, {kSkip, 0}, {1, 0}})},
    {"AStepThatNamesAnExponent", Patch({{kSkip, 1}})},
    {"AStepBehindTheLastWord", Patch({{1, 0}, {kSkip, 0}})},
    {"SumBehindTheLastWord", Patch({{1000, 0}, {24, 0}})},
};

class MalformedPatches : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedPatches, AreAnError) {
  Bytes words(2 * 1024);  // ends here: patching behind it would be seen under AddressSanitizer
  EXPECT_THAT(Apply(GetParam().patches, words), FailsWith(ErrorCode::kCorrupt));
}

INSTANTIATE_TEST_SUITE_P(Each, MalformedPatches, testing::ValuesIn(kMalformed),
                         [](const auto& each) { return each.param.name; });

TEST(Patches, OfOneWordReplaceEachOther) {
  Bytes words(2 * 1024);
  EXPECT_THAT(Apply(Patch({{600, 0}, {0, 2}}), words), IsOk());
  EXPECT_EQ(LoadLe<uint16_t>(words.data() + 2 * 600), 3 << 7);
}

TEST(Patches, ReachTheLastWord) {
  Bytes words(2 * 1024);
  EXPECT_THAT(Apply(Patch({{1023, 0}}), words), IsOk());
  EXPECT_EQ(LoadLe<uint16_t>(words.data() + 2 * 1023), 1 << 7);
}

}  // namespace
}  // namespace flyweight
