#include "entropy/head_rans/head_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "entropy/head_rans/head_rans_test_tools.h"
#include "simd/isa.h"

namespace flyweight {
namespace {

using test::DecodedHeads;
using test::DecodeHeadsInPieces;
using test::EncodedHeads;
using test::EncodeHeadsInBatches;
using test::HeadBytesVector;
using test::MakeHeads;
using test::Random;

// Where heads and their table come from.
struct Source {
  std::string name;
  size_t exponent_count;
  size_t outside_every;  ///< 0: no exponents outside
  bool crowded = false;  ///< a table whose small symbols lie side by side
};

const Source kSources[] = {
    {"one exponent", 1, 0},      {"two exponents", 2, 0},          {"sixteen exponents", 16, 0},
    {"twenty exponents", 20, 0}, {"weights with strays", 9, 50},   {"one exponent and strays", 1, 7},
    {"mostly outside", 3, 1},    {"crowded borders", 16, 0, true}, {"crowded with strays", 16, 9, true},
};

std::vector<uint8_t> Exponents(HeadKind kind, size_t count) {
  std::vector<uint8_t> exponents(count);
  for (size_t i = 0; i < count; ++i) exponents[i] = static_cast<uint8_t>(kind == HeadKind::k16 ? 125 - 3 * i : 25 - i);
  return exponents;
}

// Fifteen exponents of two slots each, then one with all the others: seven borders in one group of 16 slots.
HeadTable CrowdedTable(HeadKind kind) {
  HeadTable table;
  table.count = kMaxPalette;
  std::vector<uint8_t> exponents = Exponents(kind, kMaxPalette);
  std::copy(exponents.begin(), exponents.end(), table.exponents.begin());
  table.frequency0.fill(1);
  table.frequency1.fill(1);
  table.frequency0[kMaxPalette - 1] = 200;
  table.frequency1[kMaxPalette - 1] = 26;
  return table;
}

struct Case {
  HeadBytesVector heads;
  HeadBytesVector shifts;
  HeadTable table;
};

Case MakeCase(HeadKind kind, bool shifted, const Source& source, size_t iterations) {
  Random random(iterations * 31 + source.exponent_count);
  Case made;
  size_t count = iterations * kHeadIteration;
  if (shifted) {
    made.shifts.resize(count);
    for (uint8_t& shift : made.shifts) shift = static_cast<uint8_t>(random.Below(60) - 30);
  }
  made.heads =
      MakeHeads(kind, count, Exponents(kind, source.exponent_count), source.outside_every, made.shifts, random);
  made.table = source.crowded ? CrowdedTable(kind) : BuildHeadTable(test::CountAll(kind, made.heads, made.shifts));
  return made;
}

std::vector<uint32_t> OutsidePalette(HeadKind kind, const Case& made) {
  std::vector<uint32_t> outside;
  for (size_t i = 0; i < made.heads.size() / HeadBytes(kind); ++i) {
    auto exponent = static_cast<uint8_t>(test::HeadExponent(kind, test::LoadHead(kind, made.heads, i)) -
                                         (made.shifts.empty() ? 0 : made.shifts[i]));
    const auto* end = made.table.exponents.begin() + made.table.count;
    if (std::find(made.table.exponents.begin(), end, exponent) == end) outside.push_back(static_cast<uint32_t>(i));
  }
  return outside;
}

// What a decoder gives: the heads, but for those outside the palette, of which only the exponent is another.
HeadBytesVector ExpectedHeads(HeadKind kind, const Case& made, const HeadCoder& coder) {
  HeadBytesVector expected = made.heads;
  for (uint32_t i : OutsidePalette(kind, made)) {
    auto exponent =
        static_cast<uint8_t>(coder.rank_exponent[coder.default_rank] + (made.shifts.empty() ? 0 : made.shifts[i]));
    uint16_t other = test::HeadOtherBits(kind, test::LoadHead(kind, made.heads, i));
    if (kind == HeadKind::k16) {
      StoreLe(expected.data() + 2 * i, static_cast<uint16_t>(other | exponent << 7));
    } else {
      expected[i] = static_cast<uint8_t>(other | (exponent & 0x1F) << 2);
    }
  }
  return expected;
}

void ExpectUsedUp(const DecodedHeads& decoded, const HeadBytesVector& rest) {
  for (size_t s = 0; s < kHeadStreams; ++s) {
    EXPECT_EQ(decoded.stream_left[s], 0) << "stream " << s;
    EXPECT_TRUE(
        std::all_of(decoded.states.high[s], decoded.states.high[s] + kHeadBlock, [](uint8_t h) { return h == 1; }));
    EXPECT_EQ(
        std::memcmp(decoded.states.low[s], rest.data() + rest.size() - kCarriedBytes + s * kHeadBlock, kHeadBlock), 0);
  }
}

class HeadKernels : public testing::TestWithParam<std::tuple<Isa, HeadKind, bool>> {
 protected:
  ~HeadKernels() override { ForceIsa(std::nullopt); }
  Isa isa() const { return std::get<0>(GetParam()); }
  HeadKind kind() const { return std::get<1>(GetParam()); }
  bool shifted() const { return std::get<2>(GetParam()); }

  void ExpectRoundTrip(const Source& source, size_t iterations) const {
    SCOPED_TRACE(source.name + ", " + std::to_string(iterations) + " iterations");
    Case made = MakeCase(kind(), shifted(), source, iterations);
    HeadCoder coder(made.table);
    ASSERT_TRUE(ForceIsa(Isa::kScalar));
    EncodedHeads reference = EncodeHeadsInBatches(kind(), coder, made.heads, made.shifts);
    ASSERT_TRUE(ForceIsa(isa()));
    EncodedHeads encoded = EncodeHeadsInBatches(kind(), coder, made.heads, made.shifts);
    EXPECT_EQ(std::memcmp(&encoded.states, &reference.states, sizeof encoded.states), 0);
    EXPECT_TRUE(encoded.rest == reference.rest);
    for (size_t s = 0; s < kHeadStreams; ++s) EXPECT_TRUE(encoded.streams[s] == reference.streams[s]) << "stream " << s;
    EXPECT_TRUE(encoded.patched == reference.patched);
    EXPECT_TRUE(encoded.patched == OutsidePalette(kind(), made));

    DecodedHeads decoded = DecodeHeadsInPieces(kind(), coder, encoded, made.shifts, iterations);
    EXPECT_TRUE(decoded.heads == ExpectedHeads(kind(), made, coder));
    ExpectUsedUp(decoded, encoded.rest);
  }
};

TEST_P(HeadKernels, RoundTripEveryNumberOfIterations) {
  for (size_t iterations = 1; iterations <= 40; ++iterations) ExpectRoundTrip(kSources[4], iterations);
}

TEST_P(HeadKernels, RoundTripEveryKindOfHistogram) {
  for (const Source& source : kSources) {
    for (size_t iterations : {1, 2, 16, 17}) ExpectRoundTrip(source, iterations);
  }
}

TEST_P(HeadKernels, DecodeTheSameInPiecesAsAtOnce) {
  Case made = MakeCase(kind(), shifted(), kSources[4], 23);
  HeadCoder coder(made.table);
  ForceIsa(isa());
  EncodedHeads encoded = EncodeHeadsInBatches(kind(), coder, made.heads, made.shifts);
  for (size_t piece : {1, 2, 5, 16, 22, 23}) {
    DecodedHeads decoded = DecodeHeadsInPieces(kind(), coder, encoded, made.shifts, piece);
    EXPECT_TRUE(decoded.heads == ExpectedHeads(kind(), made, coder)) << piece;
    ExpectUsedUp(decoded, encoded.rest);
  }
}

TEST_P(HeadKernels, EncodeTheSameInBatchesAsAtOnce) {
  Case made = MakeCase(kind(), shifted(), kSources[4], 23);
  HeadCoder coder(made.table);
  ForceIsa(isa());
  EncodedHeads at_once = EncodeHeadsInBatches(kind(), coder, made.heads, made.shifts, 23);
  for (size_t batch : {1, 2, 16}) {
    EncodedHeads encoded = EncodeHeadsInBatches(kind(), coder, made.heads, made.shifts, batch);
    EXPECT_TRUE(encoded.rest == at_once.rest) << batch;
    EXPECT_TRUE(encoded.patched == at_once.patched) << batch;
    for (size_t s = 0; s < kHeadStreams; ++s) EXPECT_TRUE(encoded.streams[s] == at_once.streams[s]) << batch;
  }
}

INSTANTIATE_TEST_SUITE_P(All, HeadKernels,
                         testing::Combine(testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                                          testing::Values(HeadKind::k16, HeadKind::k8), testing::Bool()),
                         [](const auto& each) {
                           return std::string(IsaName(std::get<0>(each.param))) +
                                  (std::get<1>(each.param) == HeadKind::k16 ? "Heads16" : "Heads8") +
                                  (std::get<2>(each.param) ? "Shifted" : "Plain");
                         });

TEST(HeadPosition, IsTheInverseOfHeadElement) {
  for (size_t i = 0; i < 2 * kHeadIteration; ++i) {
    EXPECT_EQ(HeadPosition(HeadElement(i)), i);
    EXPECT_EQ(HeadElement(HeadPosition(i)), i);
    EXPECT_EQ(HeadElement(i) / kHeadBlock, i / kHeadBlock) << "stays in its block";
  }
}

TEST(HeadElement, IsWhatTheFormatSays) {
  for (size_t p = 0; p < kHeadBlock; ++p) EXPECT_EQ(HeadElement(p), 8 * ((p >> 4) + 4 * ((p >> 3) & 1)) + (p & 7));
}

TEST(HeadCoder, FindsTheSameSymbolThroughBothLookups) {
  HeadTable tables[] = {CrowdedTable(HeadKind::k16), MakeCase(HeadKind::k16, false, kSources[2], 4).table,
                        MakeCase(HeadKind::k8, false, kSources[0], 1).table};
  EXPECT_EQ(HeadCoder(tables[0]).threshold_count, 7);
  for (const HeadTable& table : tables) {
    HeadCoder coder(table);
    for (unsigned slot = 0; slot < 256; ++slot) {
      size_t rank = coder.group_rank[slot >> 4];
      for (size_t k = 0; k < coder.threshold_count; ++k) {
        rank += std::bit_cast<int8_t>(static_cast<uint8_t>(slot ^ 0x80)) >
                std::bit_cast<int8_t>(coder.thresholds[k][slot >> 4]);
      }
      ASSERT_EQ(rank, coder.slot_symbol[slot] / 2U) << slot;
      unsigned inside = slot - coder.rank_first_slot[rank];
      ASSERT_EQ(inside >= coder.rank_frequency0[rank] ? 1U : 0U, coder.slot_symbol[slot] % 2U) << slot;
    }
  }
}

TEST(CountHeads, CountsExponentsAfterTheirShifts) {
  for (HeadKind kind : {HeadKind::k16, HeadKind::k8}) {
    for (bool shifted : {false, true}) {
      Case made = MakeCase(kind, shifted, kSources[5], 3);
      HeadHistogram expected{};
      for (size_t i = 0; i < 3 * kHeadIteration; ++i) {
        uint16_t head = test::LoadHead(kind, made.heads, i);
        auto exponent = static_cast<uint8_t>(test::HeadExponent(kind, head) - (shifted ? made.shifts[i] : 0));
        ++expected[2U * exponent + (head >> (kind == HeadKind::k16 ? 6 : 1) & 1)];
      }
      EXPECT_EQ(test::CountAll(kind, made.heads, made.shifts), expected);
    }
  }
}

}  // namespace
}  // namespace flyweight
