#include "entropy/nibble_rans/nibble_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>

#include "entropy/nibble_rans/nibble_test_tools.h"
#include "simd/isa.h"
#include "support/matchers.h"

namespace flyweight {
namespace {

using test::DecodeNibblesInPieces;
using test::EncodedNibbles;
using test::FailsWith;
using test::IsOk;
using test::MakeNibbles;
using test::Nibbles;
using test::PairsOf;
using test::Random;
using test::TablesOf;

std::string Hex(ByteSpan bytes) {
  std::string hex;
  for (std::byte byte : bytes) {
    for (unsigned digit : {std::to_integer<unsigned>(byte) >> 4, std::to_integer<unsigned>(byte) & 15})
      hex += "0123456789abcdef"[digit];
  }
  return hex;
}

class NibbleCoderOnIsa : public testing::TestWithParam<Isa> {
 protected:
  NibbleCoderOnIsa() { ForceIsa(GetParam()); }
  ~NibbleCoderOnIsa() override { ForceIsa(std::nullopt); }
};

std::vector<std::byte> EncodedOnScalar(const NibbleCoder& coder, const std::vector<uint8_t>& pairs, ByteSpan carried) {
  Isa active = ActiveIsa();
  ForceIsa(Isa::kScalar);
  std::vector<std::byte> stream = EncodedNibbles(coder, pairs, carried);
  ForceIsa(active);
  return stream;
}

TEST_P(NibbleCoderOnIsa, RestoresSymbolsOfEveryCountFromTheBytesOfTheScalarEncoder) {
  Random random(1);
  for (size_t count : {0, 1, 3, 4, 5, 127, 1000, 8191, 8192, 8193, 8255, 8256, 8320, 9000, 65536, 100001}) {
    Nibbles made = MakeNibbles(count, count);
    NibbleTables tables = BuildNibbleTables(made.counts);
    NibbleCoder coder(tables);
    std::vector<uint8_t> numbers = TablesOf(tables, made.contexts), pairs = PairsOf(numbers, made.symbols);
    std::vector<std::byte> carried = random.Bytes(NibbleLanes(count) - (count % 3));
    std::vector<std::byte> stream = EncodedNibbles(coder, pairs, carried);
    EXPECT_EQ(stream, EncodedOnScalar(coder, pairs, carried)) << count;
    for (size_t piece : {size_t{kNibbleLanes}, size_t{4096}, count + 1}) {
      std::vector<uint8_t> symbols;
      std::vector<std::byte> back(carried.size());
      EXPECT_THAT(DecodeNibblesInPieces(coder, stream, numbers, symbols, back, piece), IsOk()) << count;
      EXPECT_EQ(symbols, made.symbols) << count << " in pieces of " << piece;
      EXPECT_EQ(back, carried) << count;
    }
  }
}

TEST_P(NibbleCoderOnIsa, RestoresWhatTheMostLopsidedTablesCode) {
  // One symbol has all slots but those that the others need, at either end, in tables of two and of sixteen symbols.
  for (size_t likely : {0, 1, 7, 14, 15}) {
    for (bool all : {false, true}) {
      NibbleTables tables;
      tables.table_count = kNibbleTables;
      for (size_t t = 0; t < kNibbleTables; ++t) {
        size_t other = likely == 0 ? 1 + t % 15 : 0;
        for (size_t s = 0; s < kNibbleSymbols; ++s) tables.frequency[t][s] = all || s == other ? 1 : 0;
        tables.frequency[t][likely] = all ? 241 : 255;
      }
      NibbleCoder coder(tables);
      Random random(likely);
      std::vector<uint8_t> numbers(20000), symbols(20000);
      for (size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = static_cast<uint8_t>(random.Below(16));
        uint64_t symbol = random.OneIn(3) ? random.Below(16) : likely;
        symbols[i] = static_cast<uint8_t>(tables.frequency[numbers[i]][symbol] != 0 ? symbol : likely);
      }
      std::vector<uint8_t> pairs = PairsOf(numbers, symbols), back;
      std::vector<std::byte> stream = EncodedNibbles(coder, pairs, {});
      EXPECT_EQ(stream, EncodedOnScalar(coder, pairs, {}));
      EXPECT_THAT(DecodeNibblesInPieces(coder, stream, numbers, back, {}, 4096), IsOk());
      EXPECT_EQ(back, symbols) << likely << all;
    }
  }
}

TEST_P(NibbleCoderOnIsa, DecodesHostileStreamsAndStatesAsTheScalarKernelDoes) {
  Random random(2);
  for (int trial = 0; trial < 60; ++trial) {
    NibbleTables tables = BuildNibbleTables(MakeNibbles(300, random.Bits()).counts);
    NibbleCoder coder(tables);
    std::vector<uint8_t> numbers(kNibbleLanes * random.Between(1, 80));
    for (uint8_t& number : numbers) number = static_cast<uint8_t>(random.Below(16));
    const size_t stream_bytes = random.Below(numbers.size() + 2);
    std::vector<std::byte> bytes = random.Bytes(stream_bytes + kNibbleReadAhead);
    const auto* stream = reinterpret_cast<const uint8_t*>(bytes.data());
    NibbleStates states[2] = {};
    if (trial % 3 != 0) {  // else all zero, the greediest
      random.Fill(std::as_writable_bytes(std::span(&states[0], 1)));
      states[1] = states[0];
    }
    std::vector<uint8_t> symbols[2];
    const uint8_t* ends[2] = {};
    for (int i = 0; i < 2; ++i) {
      symbols[i].assign(numbers.size() + 64, 0xA5);
      DecodeNibblesArgs args{&coder,
                             &states[i],
                             stream,
                             stream + stream_bytes,
                             numbers.data(),
                             symbols[i].data(),
                             numbers.size() / kNibbleLanes};
      (i == 0 ? kDecodeNibbles.scalar : kDecodeNibbles.Pick())(args);
      ends[i] = args.stream;
      EXPECT_EQ(args.symbols, symbols[i].data() + numbers.size());
      EXPECT_LE(args.stream, args.stream_end + 1);
    }
    // Behind its end the two may differ: what lies there is nobody's.
    EXPECT_EQ(ends[0], ends[1]);
    if (ends[0] <= stream + stream_bytes) {
      EXPECT_EQ(symbols[0], symbols[1]);
    }
    EXPECT_EQ(symbols[1][numbers.size()], 0xA5);
  }
}

TEST_P(NibbleCoderOnIsa, RefusesStreamsThatAreTooShortOrTooLong) {
  for (size_t count : {1, 100, 8191, 8192, 20000}) {
    Nibbles made = MakeNibbles(count, 7);
    NibbleTables tables = BuildNibbleTables(made.counts);
    NibbleCoder coder(tables);
    std::vector<uint8_t> numbers = TablesOf(tables, made.contexts), symbols;
    std::vector<std::byte> stream = EncodedNibbles(coder, PairsOf(numbers, made.symbols), {});
    const size_t state_bytes = 2 * NibbleLanes(count);
    for (size_t cut : {size_t{1}, size_t{2}, size_t{60}, stream.size() / 2}) {
      if (cut > stream.size()) continue;
      size_t left = stream.size() - cut;
      EXPECT_THAT(DecodeNibblesInPieces(coder, ByteSpan(stream).first(left), numbers, symbols, {}, 4096),
                  FailsWith(left < state_bytes ? ErrorCode::kTruncated : ErrorCode::kCorrupt))
          << count << " " << cut;
    }
    stream.push_back(std::byte{0});
    EXPECT_THAT(DecodeNibblesInPieces(coder, stream, numbers, symbols, {}, 4096), FailsWith(ErrorCode::kCorrupt));
  }
}

INSTANTIATE_TEST_SUITE_P(All, NibbleCoderOnIsa, testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                         [](const auto& each) { return std::string(IsaName(each.param)); });

// tests/reference/test_nibble_codec.py reads the same bytes.
TEST(NibbleCoder, WritesTablesAndStreamAsTheFormatSays) {
  NibbleTables tables;
  tables.table_count = 2;
  for (size_t k = 7; k < kNibbleContexts; ++k) tables.table_of_context[k] = 1;
  tables.frequency[0] = {200, 40, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  tables.frequency[1] = {100, 90, 50, 10, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  ByteWriter writer;
  WriteNibbleTables(tables, writer);
  EXPECT_EQ(Hex(writer.bytes()),
            "80000000000000000208000f00001032f067cc8e0001020202020202028100c0030000880c9c7c7e4e4c0402814020100401");
  const std::vector<uint8_t> pairs = {0x00, 0x11, 0x01, 0x12, 0x0F, 0x10, 0x02, 0x14, 0x00, 0x13};
  const std::vector<std::byte> carried = {std::byte{0xA1}, std::byte{0xB2}, std::byte{0xC3}};
  EXPECT_EQ(Hex(EncodedNibbles(NibbleCoder(tables), pairs, carried)), "a802560112c01101ae0249");
}

TEST(NibbleCoder, RefusesBytesInLanesThatCarryNone) {
  Nibbles made = MakeNibbles(9000, 1);
  NibbleTables tables = BuildNibbleTables(made.counts);
  NibbleCoder coder(tables);
  std::vector<uint8_t> numbers = TablesOf(tables, made.contexts), symbols;
  std::vector<std::byte> carried(10, std::byte{3});
  std::vector<std::byte> stream = EncodedNibbles(coder, PairsOf(numbers, made.symbols), carried);
  std::vector<std::byte> back(9);
  EXPECT_THAT(DecodeNibblesInPieces(coder, stream, numbers, symbols, back, 4096), FailsWith(ErrorCode::kCorrupt));
  back.resize(129);
  EXPECT_THAT(DecodeNibblesInPieces(coder, stream, numbers, symbols, back, 4096), FailsWith(ErrorCode::kCorrupt));
}

TEST(NibbleCoder, WritesNothingWhereThereIsNoRoomAndFillsARoomThatIsJustLargeEnough) {
  for (size_t count : {100, 8200, 30000}) {
    Nibbles made = MakeNibbles(count, 3);
    NibbleTables tables = BuildNibbleTables(made.counts);
    NibbleCoder coder(tables);
    std::vector<uint8_t> pairs = PairsOf(TablesOf(tables, made.contexts), made.symbols);
    std::vector<std::byte> stream = EncodedNibbles(coder, pairs, {});
    std::vector<std::byte> exact(stream.size());
    EXPECT_EQ(EncodeNibbles(coder, pairs, {}, exact), stream.size());
    EXPECT_EQ(exact, stream);
    for (size_t room : {size_t{0}, size_t{7}, stream.size() / 2, stream.size() - 1}) {
      std::vector<std::byte> cramped(room);
      EXPECT_EQ(EncodeNibbles(coder, pairs, {}, cramped), 0U) << room;
    }
  }
}

TEST(NibbleCoder, ComesWithinTwoPerCentOfTheEntropyOfItsContexts) {
  Nibbles made = MakeNibbles(1 << 18, 4);
  double entropy_bits = 0;
  for (const auto& counts : made.counts) {
    double total = 0;
    for (uint64_t count : counts) total += static_cast<double>(count);
    for (uint64_t count : counts) {
      if (count != 0) entropy_bits -= static_cast<double>(count) * std::log2(static_cast<double>(count) / total);
    }
  }
  NibbleTables tables = BuildNibbleTables(made.counts);
  std::vector<std::byte> carried(kNibbleLanes, std::byte{0x77});
  std::vector<std::byte> stream =
      EncodedNibbles(NibbleCoder(tables), PairsOf(TablesOf(tables, made.contexts), made.symbols), carried);
  double bytes = static_cast<double>(stream.size() - carried.size());
  EXPECT_LT(bytes, entropy_bits / 8 * 1.02);
  EXPECT_NEAR(static_cast<double>(EstimateNibbleBits(tables, made.counts)) / 8, bytes, bytes / 100);
}

}  // namespace
}  // namespace flyweight
