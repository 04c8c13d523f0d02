#include "codec/float_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "codec/codec_test_tools.h"
#include "codec/plane_coder.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
#include "simd/isa.h"
#include "support/random.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;

FloatSide PlanSide(const Bytes& content, FloatLayout layout, const Shape& shape = {}) {
  CodecScratch scratch;
  uint64_t word_count = content.size() / Describe(layout).word_bytes;
  Result<FloatSide> side =
      PlanFloatSide(MemorySource(content), 0, word_count, layout, shape, 1, Level::kBalanced, scratch);
  EXPECT_THAT(side, IsOk());
  return std::move(side).value();
}

Bytes Encode(const FloatSide& side, uint64_t first_word, const Bytes& chunk) {
  CodecScratch scratch;
  Bytes payload(4 * chunk.size() + 4096);
  payload.resize(EncodeFloatChunk(side, Level::kBalanced, first_word, chunk, payload, scratch.impl()));
  EXPECT_FALSE(payload.empty());
  return payload;
}

struct Decoded {
  Bytes chunk;
  uint64_t checksum = 0;
};

// With exactly as many readable bytes behind the payload as the contract says.
Result<Decoded> Decode(const FloatSide& side, uint64_t first_word, ByteSpan payload, size_t chunk_bytes) {
  Bytes padded(payload.begin(), payload.end());
  padded.resize(padded.size() + kDecodePaddingBytes, std::byte{0xC7});
  padded.shrink_to_fit();
  CodecScratch scratch;
  Decoded decoded{Bytes(chunk_bytes), 0};
  FLYWEIGHT_TRY(DecodeFloatChunk(side, first_word, ByteSpan(padded).first(payload.size()), decoded.chunk,
                                 scratch.impl(), decoded.checksum));
  return decoded;
}

void ExpectRoundTrip(const FloatSide& side, uint64_t first_word, const Bytes& chunk) {
  Result<Decoded> decoded = Decode(side, first_word, Encode(side, first_word, chunk), chunk.size());
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value().chunk == chunk);
  EXPECT_EQ(decoded.value().checksum, Xxh3(chunk));
}

DType DTypeOf(FloatLayout layout) {
  return layout == FloatLayout::kBF16 ? DType::kBF16 : layout == FloatLayout::kF16 ? DType::kF16 : DType::kF32;
}

bool HasOwnTable(const Bytes& payload) { return payload[0] == std::byte{1}; }

class FloatCodec : public testing::TestWithParam<std::tuple<Isa, FloatLayout>> {
 protected:
  FloatCodec() { ForceIsa(std::get<0>(GetParam())); }
  ~FloatCodec() override { ForceIsa(std::nullopt); }
  static FloatLayout layout() { return std::get<1>(GetParam()); }
  static Bytes Make(size_t rows, size_t columns, Pattern pattern, uint64_t seed = 1) {
    Random random(seed);
    return test::MakeTensor(DTypeOf(layout()), rows, columns, pattern, random);
  }
};

TEST_P(FloatCodec, RoundTripsEveryTail) {
  for (size_t words : {512, 513, 1023, 1024, 1025, 8191, 8192, 8193, 8704, 9000}) {
    SCOPED_TRACE(words);
    Bytes chunk = Make(1, words, Pattern::kPlainGaussian);
    ExpectRoundTrip(PlanSide(chunk, layout()), 0, chunk);
  }
}

TEST_P(FloatCodec, RoundTripsEveryPattern) {
  for (Pattern pattern : test::kAllPatterns) {
    SCOPED_TRACE(test::PatternName(pattern));
    Bytes chunk = Make(40, 130, pattern);
    ExpectRoundTrip(PlanSide(chunk, layout(), {40, 130}), 0, chunk);
  }
}

TEST_P(FloatCodec, RoundTripsWithASideMadeFromOtherContent) {
  FloatSide side = PlanSide(Make(1, 8192, Pattern::kConstant), layout());
  for (Pattern pattern : test::kAllPatterns) {
    SCOPED_TRACE(test::PatternName(pattern));
    ExpectRoundTrip(side, 0, Make(40, 130, pattern, 2));
  }
}

TEST_P(FloatCodec, RoundTripsChunksThatStartInsideARow) {
  Bytes content = Make(100, 301, Pattern::kWeights);
  FloatSide side = PlanSide(content, layout(), {100, 301});
  ASSERT_TRUE(side.shifted());
  size_t word_bytes = Describe(layout()).word_bytes;
  for (size_t first_word : {0, 1, 300, 301, 302, 5000, 12345}) {
    for (size_t words : {512, 700, 9001}) {
      auto begin = content.begin() + static_cast<ptrdiff_t>(first_word * word_bytes);
      ExpectRoundTrip(side, first_word, Bytes(begin, begin + static_cast<ptrdiff_t>(words * word_bytes)));
    }
  }
}

// Heads outside the palette are coded with the most frequent exponent and their own shift, whose sum may leave the
// field's range.
TEST_P(FloatCodec, KeepsSignsOfPatchedHeadsUnderLargeShifts) {
  Bytes content = Make(64, 512, Pattern::kWeights);
  FloatSide side = PlanSide(content, layout());
  side.by_rows = side.by_columns = true;
  side.column_count = 512;
  side.row_reference = 1;
  for (int c = 0; c < 512; ++c) side.column_shifts.push_back(static_cast<int8_t>(c - 256));
  ExpectRoundTrip(side, 0, content);
}

TEST_P(FloatCodec, GivesAChunkATableOfItsOwnWhereTheRecordsDoesNotFit) {
  FloatSide side = PlanSide(Make(1, 65536, Pattern::kPlainGaussian), layout());
  EXPECT_FALSE(HasOwnTable(Encode(side, 0, Make(1, 65536, Pattern::kPlainGaussian, 2))));
  Bytes other = Make(1, 65536, Pattern::kInfinities);
  Bytes payload = Encode(side, 0, other);
  EXPECT_TRUE(HasOwnTable(payload));
  EXPECT_LT(payload.size(), other.size() * 8 / 10);
  ExpectRoundTrip(side, 0, other);
}

TEST_P(FloatCodec, IsTheSameOnEveryIsa) {
  Bytes content = Make(90, 257, Pattern::kSpecials);
  FloatSide side = PlanSide(content, layout(), {90, 257});
  Bytes payload = Encode(side, 0, content);
  ForceIsa(Isa::kScalar);
  EXPECT_TRUE(Encode(PlanSide(content, layout(), {90, 257}), 0, content) == payload);
}

TEST_P(FloatCodec, GivesUpWhereThePayloadHasNoRoom) {
  Bytes chunk = Make(1, 5000, Pattern::kPlainGaussian);
  FloatSide side = PlanSide(chunk, layout());
  size_t needed = Encode(side, 0, chunk).size();
  CodecScratch scratch;
  for (size_t room : {size_t{0}, size_t{1}, size_t{271}, size_t{1000}, needed / 2, needed - 1}) {
    Bytes payload(room);
    EXPECT_EQ(EncodeFloatChunk(side, Level::kBalanced, 0, chunk, payload, scratch.impl()), 0U) << room;
  }
}

TEST_P(FloatCodec, DecodesFewerThan512Words) {
  const FloatLayoutInfo& info = Describe(layout());
  FloatSide side = PlanSide(Make(1, 4096, Pattern::kPlainGaussian), layout());
  for (size_t words : {1, 2, 511}) {
    Bytes chunk = Make(1, words, Pattern::kRandomBits);
    Bytes heads(words * info.head_bytes), low(words * info.low_plane_count);
    SplitFloats(layout(), chunk.data(), words, heads.data(), low.data(), words);
    ByteWriter payload;
    payload.Append(Bytes(16));
    payload.Append(heads);
    for (size_t p = 0; p < info.low_plane_count; ++p) {
      payload.Write(uint8_t{0});
      payload.Write(static_cast<uint32_t>(words));
      payload.Append(ByteSpan(low).subspan(p * words, words));
    }
    Result<Decoded> decoded = Decode(side, 0, payload.bytes(), chunk.size());
    ASSERT_THAT(decoded, IsOk()) << words;
    EXPECT_TRUE(decoded.value().chunk == chunk);
    EXPECT_EQ(decoded.value().checksum, Xxh3(chunk));

    for (size_t field : {4, 8, 12}) {  // patches or streams where nothing is coded
      Bytes bad(payload.bytes().begin(), payload.bytes().end());
      bad[field] = std::byte{1};
      bad.insert(bad.begin() + 16, std::byte{0});
      EXPECT_THAT(Decode(side, 0, bad, chunk.size()), FailsWith(ErrorCode::kCorrupt)) << field;
    }
  }
}

std::string CaseName(const testing::TestParamInfo<std::tuple<Isa, FloatLayout>>& each) {
  return std::string(IsaName(std::get<0>(each.param))) + std::string(Describe(DTypeOf(std::get<1>(each.param))).name);
}

INSTANTIATE_TEST_SUITE_P(All, FloatCodec,
                         testing::Combine(testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                                          testing::Values(FloatLayout::kBF16, FloatLayout::kF16, FloatLayout::kF32)),
                         CaseName);

TEST(FloatRecord, GivesChunksTablesOfTheirOwnWhereTheyDifferFromTheSample) {
  // Two chunks of numbers of quite different magnitude, so the record's table is a compromise.
  constexpr size_t kChunkWords = size_t{1} << 18;
  Random random(1);
  Bytes content = test::MakeTensor(DType::kBF16, 1, 2 * kChunkWords, Pattern::kPlainGaussian, random);
  for (size_t i = kChunkWords; i < 2 * kChunkWords; ++i) {
    auto word = LoadLe<uint16_t>(content.data() + 2 * i);
    StoreLe(content.data() + 2 * i, static_cast<uint16_t>(word ^ 0x2000));  // flips a high bit of the exponent
  }
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kBF16, {2 * kChunkWords}, scratch);
  ASSERT_THAT(record, IsOk());
  ASSERT_EQ(record.value().frames.size(), 2U);
  for (const Bytes& frame : record.value().frames) {
    EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kFloat));
    EXPECT_EQ(frame[kFrameHeaderBytes], std::byte{1}) << "a table of its own";
  }
  Result<Bytes> decoded = test::DecodeRecord(record.value(), scratch);
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == content);
}

TEST(FloatRecord, EncodesAShortLastChunkWithAnotherCodec) {
  constexpr size_t kWords = (size_t{1} << 18) + 511;
  Random random(1);
  Bytes content = test::MakeTensor(DType::kF16, 1, kWords, Pattern::kPlainGaussian, random);
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kF16, {kWords}, scratch);
  ASSERT_THAT(record, IsOk());
  ASSERT_EQ(record.value().frames.size(), 2U);
  EXPECT_EQ(test::CodecOf(record.value().frames[0]), static_cast<uint8_t>(CodecId::kFloat));
  EXPECT_NE(test::CodecOf(record.value().frames[1]), static_cast<uint8_t>(CodecId::kFloat));
  Result<Bytes> decoded = test::DecodeRecord(record.value(), scratch);
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == content);
}

}  // namespace
}  // namespace flyweight
