#include "transform/delta_fields/delta_fields.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "simd/isa.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Random;
using ByteVector = std::vector<uint8_t>;

size_t WordBytes(FloatLayout layout) { return Describe(layout).word_bytes; }

// Words near a base: same, a few units away, far away, or anything; and the odd words that floats have.
void MakePair(FloatLayout layout, size_t count, uint64_t near, Random& random, ByteVector& base, ByteVector& words) {
  const size_t bytes = WordBytes(layout);
  base.resize(bytes * count);
  words.resize(bytes * count);
  const int exponent_shift = Describe(layout).exponent_shift;
  const uint64_t odd[] = {0, uint64_t{1} << (8 * bytes - 1), ~uint64_t{0}, 1, uint64_t{0x7F80} << (8 * bytes - 16)};
  for (size_t i = 0; i < count; ++i) {
    uint64_t word = random.Bits();
    if (!random.OneIn(20)) {  // an exponent in the middle
      word &= ~(uint64_t{Describe(layout).exponent_mask} << exponent_shift);
      word |= (Describe(layout).exponent_mask / 2 - random.Below(8)) << exponent_shift;
    }
    if (random.OneIn(50)) word = odd[random.Below(5)];
    uint64_t tuned = word;
    switch (random.Below(near)) {
      case 0:
        tuned = random.Bits();
        break;
      case 1:
        tuned = word + random.Below(70000) - 35000;
        break;
      case 2:
        tuned = word + random.Below(600) - 300;
        break;
      case 3:
      case 4:
        tuned = word + random.Below(9) - 4;
        break;
      default:
        break;
    }
    std::memcpy(base.data() + bytes * i, &word, bytes);
    std::memcpy(words.data() + bytes * i, &tuned, bytes);
  }
}

struct Coded {
  ByteVector symbols, planes, low;
  std::vector<uint32_t> escapes;
  bool operator==(const Coded&) const = default;
};

struct Fields {
  ByteVector contexts, widths;
  bool operator==(const Fields&) const = default;
};

ByteVector Identity() {
  ByteVector tables(64);
  std::iota(tables.begin(), tables.end(), uint8_t{0});
  return tables;
}

Fields ContextsOf(FloatLayout layout, const ByteVector& base, const ByteVector& activities, uint8_t origin,
                  const ByteVector& tables) {
  Fields fields{ByteVector(activities.size()), ByteVector(activities.size())};
  DeltaContexts(layout, {base.data(), activities.data(), activities.size(), origin, tables.data(),
                         fields.contexts.data(), HasDeltaWidths(layout) ? fields.widths.data() : nullptr});
  return fields;
}

// Splits `block` words at a time (a multiple of kDeltaGroup) into buffers as large as the contract says.
Coded SplitInBlocks(FloatLayout layout, const ByteVector& base, const ByteVector& words, const ByteVector& widths,
                    size_t block) {
  const size_t bytes = WordBytes(layout), count = widths.size();
  Coded coded;
  coded.symbols.resize(count);
  coded.planes.resize(DeltaPlaneBound(count) + kDeltaWriteAhead);
  coded.low.resize(DeltaLowBound(count) + kDeltaWriteAhead);
  DeltaBitWriter planes{coded.planes.data()}, low{coded.low.data()};
  for (size_t at = 0; at < count; at += block) {
    size_t size = std::min(block, count - at);
    std::vector<uint32_t> escapes(size);
    SplitDeltaArgs args{base.data() + bytes * at,
                        words.data() + bytes * at,
                        HasDeltaWidths(layout) ? widths.data() + at : nullptr,
                        size,
                        coded.symbols.data() + at,
                        &planes,
                        HasDeltaWidths(layout) ? &low : nullptr,
                        escapes.data(),
                        0};
    SplitDelta(layout, args);
    for (size_t i = 0; i < args.escape_count; ++i) coded.escapes.push_back(static_cast<uint32_t>(escapes[i] + at));
  }
  coded.planes.resize(static_cast<size_t>(FinishDeltaBits(planes) - coded.planes.data()));
  coded.low.resize(static_cast<size_t>(FinishDeltaBits(low) - coded.low.data()));
  return coded;
}

struct Joined {
  ByteVector words;
  std::vector<uint32_t> escapes;
  uint64_t plane_bits = 0, low_bits = 0;
  bool used_up = false;
  bool operator==(const Joined&) const = default;
};

Joined JoinInBlocks(FloatLayout layout, const ByteVector& base, const Coded& coded, const ByteVector& widths,
                    size_t block, bool in_place) {
  const size_t bytes = WordBytes(layout), count = widths.size();
  Joined joined;
  joined.words = in_place ? base : ByteVector(base.size(), 0xEE);
  ByteVector planes = coded.planes, low = coded.low;
  planes.resize(planes.size() + kDeltaReadAhead, 0x5A);
  low.resize(low.size() + kDeltaReadAhead, 0x5A);
  DeltaBitReader plane_bits{planes.data(), 0, 8 * coded.planes.size()}, low_bits{low.data(), 0, 8 * coded.low.size()};
  for (size_t at = 0; at < count; at += block) {
    size_t size = std::min(block, count - at);
    std::vector<uint32_t> escapes(size);
    JoinDeltaArgs args{(in_place ? joined.words.data() : base.data()) + bytes * at,
                       coded.symbols.data() + at,
                       HasDeltaWidths(layout) ? widths.data() + at : nullptr,
                       size,
                       &plane_bits,
                       HasDeltaWidths(layout) ? &low_bits : nullptr,
                       joined.words.data() + bytes * at,
                       escapes.data(),
                       0};
    JoinDelta(layout, args);
    for (size_t i = 0; i < args.escape_count; ++i) joined.escapes.push_back(static_cast<uint32_t>(escapes[i] + at));
  }
  joined.plane_bits = plane_bits.position_bits;
  joined.low_bits = low_bits.position_bits;
  joined.used_up = DeltaBitsUsedUp(plane_bits) && DeltaBitsUsedUp(low_bits);
  return joined;
}

template <typename Function>
auto OnScalar(const Function& function) {
  Isa active = ActiveIsa();
  ForceIsa(Isa::kScalar);
  auto result = function();
  ForceIsa(active);
  return result;
}

ByteVector RandomBytes(size_t count, uint64_t bound, Random& random) {
  ByteVector bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.Below(bound));
  return bytes;
}

class DeltaFields : public testing::TestWithParam<std::tuple<Isa, FloatLayout>> {
 protected:
  DeltaFields() { ForceIsa(std::get<0>(GetParam())); }
  ~DeltaFields() override { ForceIsa(std::nullopt); }
  FloatLayout layout() const { return std::get<1>(GetParam()); }
};

TEST_P(DeltaFields, RestoreWordsInPlaceAndOutOfIt) {
  Random random(1);
  for (size_t count : {1, 7, 63, 64, 65, 128, 1000, 4096, 9001}) {
    for (uint64_t near : {2, 6, 12, 400}) {
      ByteVector base, words;
      MakePair(layout(), count, near, random, base, words);
      ByteVector activities = RandomBytes(count, 256, random);
      Fields fields = ContextsOf(layout(), base, activities, 3, Identity());
      Coded coded = SplitInBlocks(layout(), base, words, fields.widths, 4096);
      EXPECT_EQ(coded, OnScalar([&] { return SplitInBlocks(layout(), base, words, fields.widths, 4096); }));
      EXPECT_EQ(coded, SplitInBlocks(layout(), base, words, fields.widths, 64)) << count;
      ByteVector symbols(count, 0xEE);
      ClassifyDelta(layout(), base.data(), words.data(), fields.widths.data(), count, symbols.data());
      EXPECT_EQ(symbols, coded.symbols);
      for (bool in_place : {false, true}) {
        Joined joined = JoinInBlocks(layout(), base, coded, fields.widths, in_place ? 4096 : 64, in_place);
        EXPECT_TRUE(joined.used_up);
        EXPECT_EQ(joined.escapes, coded.escapes);
        const size_t bytes = WordBytes(layout());
        for (uint32_t i : joined.escapes) {
          EXPECT_TRUE(std::equal(base.begin() + static_cast<ptrdiff_t>(bytes * i),
                                 base.begin() + static_cast<ptrdiff_t>(bytes * (i + 1)),
                                 joined.words.begin() + static_cast<ptrdiff_t>(bytes * i)));
          std::memcpy(joined.words.data() + bytes * i, words.data() + bytes * i, bytes);
        }
        EXPECT_EQ(joined.words, words) << count << " words, one in " << near << " changed";
      }
    }
  }
}

TEST_P(DeltaFields, GiveTheContextsOfTheScalarKernel) {
  Random random(2);
  for (size_t count : {1, 31, 32, 33, 64, 100, 4096, 5000}) {
    ByteVector base, words;
    MakePair(layout(), count, 5, random, base, words);
    ByteVector activities = RandomBytes(count, 256, random), tables = RandomBytes(64, 16, random);
    for (int number : {0, 1, 10, 100, 255}) {
      const auto origin = static_cast<uint8_t>(number);
      Fields fields = ContextsOf(layout(), base, activities, origin, tables);
      EXPECT_EQ(fields, OnScalar([&] { return ContextsOf(layout(), base, activities, origin, tables); })) << count;
    }
  }
}

TEST_P(DeltaFields, JoinHostileSymbolsAndBitsAsTheScalarKernelDoesAndStayNearTheirEnds) {
  Random random(3);
  for (int trial = 0; trial < 60; ++trial) {
    size_t count = random.Between(1, 700);
    ByteVector base, words;
    MakePair(layout(), count, 3, random, base, words);
    Coded coded{RandomBytes(count, 16, random),
                RandomBytes(random.Below(2 * count), 256, random),
                RandomBytes(random.Below(4 * count), 256, random),
                {}};
    ByteVector widths = RandomBytes(count, kDeltaMaxWidth + 1, random);
    Joined joined = JoinInBlocks(layout(), base, coded, widths, 64, trial % 2 != 0);
    Joined truth = OnScalar([&] { return JoinInBlocks(layout(), base, coded, widths, 64, false); });
    EXPECT_EQ(joined.plane_bits, truth.plane_bits);
    EXPECT_EQ(joined.low_bits, truth.low_bits);
    EXPECT_EQ(joined.escapes, truth.escapes);
    EXPECT_LE(joined.plane_bits, 8 * coded.planes.size() + 1);
    EXPECT_LE(joined.low_bits, 8 * coded.low.size() + 1);
    // Bits behind the end are the same in both runs, so even the words are.
    EXPECT_EQ(joined.words, truth.words);
  }
}

TEST_P(DeltaFields, NeverMakeStreamsThatAreCutOffLookUsedUp) {
  Random random(4);
  ByteVector base, words;
  MakePair(layout(), 3000, 5, random, base, words);
  ByteVector activities(3000, 200);
  Fields fields = ContextsOf(layout(), base, activities, 3, Identity());
  Coded coded = SplitInBlocks(layout(), base, words, fields.widths, 4096);
  for (size_t cut : {size_t{1}, size_t{2}, size_t{30}, coded.planes.size()}) {
    Coded shorter = coded;
    shorter.planes.resize(coded.planes.size() - cut);
    EXPECT_FALSE(JoinInBlocks(layout(), base, shorter, fields.widths, 256, false).used_up) << cut;
  }
  Coded longer = coded;
  longer.planes.push_back(0);
  EXPECT_FALSE(JoinInBlocks(layout(), base, longer, fields.widths, 256, false).used_up);
  if (!HasDeltaWidths(layout())) return;
  ASSERT_FALSE(coded.low.empty());
  coded.low.pop_back();
  EXPECT_FALSE(JoinInBlocks(layout(), base, coded, fields.widths, 256, false).used_up);
}

std::string NameOf(const testing::TestParamInfo<std::tuple<Isa, FloatLayout>>& each) {
  const char* layouts[] = {"", "BF16", "F16", "F32"};
  return std::string(IsaName(std::get<0>(each.param))) + layouts[static_cast<size_t>(std::get<1>(each.param))];
}
INSTANTIATE_TEST_SUITE_P(All, DeltaFields,
                         testing::Combine(testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                                          testing::Values(FloatLayout::kBF16, FloatLayout::kF16, FloatLayout::kF32)),
                         NameOf);

TEST(DeltaFieldsByHand, PutAUnitMoreOfActivityAQuarterOctaveHigher) {
  // 1.0 and 0.5: one octave apart, four contexts.
  const uint16_t words[3] = {0x3F80, 0x3F00, 0xBF00};
  const ByteVector activities = {kDeltaActivityBias + 20, kDeltaActivityBias + 20, kDeltaActivityBias + 21};
  ByteVector contexts(3), tables = Identity();
  DeltaContexts(FloatLayout::kBF16, {words, activities.data(), 3, 0x7E, tables.data(), contexts.data(), nullptr});
  EXPECT_EQ(contexts, (ByteVector{16, 20, 21}));
}

TEST(DeltaFieldsByHand, LeaveLowBitsRawFromSixteenExpectedUnitsOn) {
  const uint32_t words[5] = {};
  const ByteVector scales = {47, 48, 52, 67, 191};
  ByteVector activities, contexts(5), widths(5), tables = Identity();
  for (uint8_t scale : scales) activities.push_back(static_cast<uint8_t>(scale + kDeltaActivityBias));
  DeltaContexts(FloatLayout::kF32, {words, activities.data(), 5, 0, tables.data(), contexts.data(), widths.data()});
  EXPECT_EQ(contexts, (ByteVector{47, 48, 48, 51, 51}));
  EXPECT_EQ(widths, (ByteVector{0, 1, 2, 5, 24}));
}

TEST(DeltaFieldsByHand, StandInTheStreamAsTheFormatSays) {
  // Differences 0, +1, -5, +129, -256 (an escape), and a step from +0 to -0, which is -1.
  const uint16_t base[6] = {0x3F80, 0x3F80, 0x3F80, 0x3F80, 0x3F80, 0x0000};
  const uint16_t words[6] = {0x3F80, 0x3F81, 0x3F7B, 0x4001, 0x3E80, 0x8000};
  ByteVector symbols(6), planes(6 + kDeltaWriteAhead);
  std::vector<uint32_t> escapes(6);
  DeltaBitWriter writer{planes.data()};
  SplitDeltaArgs args{base, words, nullptr, 6, symbols.data(), &writer, nullptr, escapes.data(), 0};
  SplitDelta(FloatLayout::kBF16, args);
  EXPECT_EQ(symbols, (ByteVector{0, 1, 4, 14, kDeltaEscape, 1}));
  ASSERT_EQ(args.escape_count, 1U);
  EXPECT_EQ(escapes[0], 4U);
  // Plane 0: -5 gives 1 and 129 gives 1; planes 1 to 6 of 129: zeros; signs of +1, -5, 129 and -1.
  planes.resize(static_cast<size_t>(FinishDeltaBits(writer) - planes.data()));
  EXPECT_EQ(planes, (ByteVector{0x03, 0x0A}));
}

TEST(DeltaFieldsByHand, AddActivitiesWithoutWrapping) {
  const ByteVector columns = {0, 64, 100, 255};
  ByteVector activities(4);
  AddActivity(columns.data(), 4, 190, activities.data());
  EXPECT_EQ(activities, (ByteVector{190, 254, 255, 255}));
}

}  // namespace
}  // namespace flyweight
