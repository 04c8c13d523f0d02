#include "entropy/context_rans/context_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "entropy/context_rans/context_kernels.h"
#include "simd/isa.h"
#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;

std::vector<uint8_t> Geometric(size_t count, double spread, uint32_t seed) {
  std::mt19937 random(seed);
  std::geometric_distribution<int> draw(1 / spread);
  std::vector<uint8_t> values(count);
  for (uint8_t& value : values) value = static_cast<uint8_t>(100 + std::min(150, draw(random)));
  return values;
}

ByteSpan Bytes(std::span<const uint8_t> values) { return std::as_bytes(values); }

std::vector<std::byte> Encoded(std::span<const uint8_t> values) {
  std::vector<std::byte> target(values.size() * 2 + 4096);
  size_t written = EncodeBytes(Bytes(values), CountBytes(Bytes(values)), target);
  EXPECT_NE(written, 0U);
  target.resize(written);
  return target;
}

Status Decoded(ByteSpan coded, std::span<uint8_t> values) {
  std::vector<std::byte> padded(coded.begin(), coded.end());
  padded.resize(coded.size() + kContextReadAhead);
  return DecodeBytes(ByteSpan(padded).first(coded.size()), std::as_writable_bytes(values));
}

TEST(ContextCoder, RestoresBytesOfEveryCountOnEveryIsa) {
  for (size_t count :
       {1, 2, 3, 4, 5, 31, 100, 1000, 8191, 15, 16, 8192, 8193, 8199, 8200, 8319, 8320, 8321, 8384, 100000}) {
    std::vector<uint8_t> values = Geometric(count, 12, static_cast<uint32_t>(count));
    std::vector<std::byte> coded = Encoded(values);
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      std::vector<uint8_t> decoded(count);
      EXPECT_THAT(Decoded(coded, decoded), IsOk()) << count << " " << IsaName(isa);
      EXPECT_EQ(decoded, values) << count << " " << IsaName(isa);
    }
    ForceIsa(std::nullopt);
  }
}

TEST(ContextCoder, ComesWithinAThousandthOfTheEntropy) {
  std::vector<uint8_t> values = Geometric(1 << 18, 40, 1);
  double entropy_bytes = EntropyBitsPerSymbol(CountBytes(Bytes(values))) / 8 * static_cast<double>(values.size());
  EXPECT_LT(static_cast<double>(Encoded(values).size()), entropy_bytes * 1.001 + 128);
}

TEST(ContextCoder, TakesNearlyNothingForARareExceptionFromOneValue) {
  std::vector<uint8_t> values(1 << 18, 7);
  values[12345] = 200;
  std::vector<std::byte> coded = Encoded(values);
  EXPECT_LT(coded.size(), 400U);
  std::vector<uint8_t> decoded(values.size());
  ASSERT_THAT(Decoded(coded, decoded), IsOk());
  EXPECT_EQ(decoded, values);
}

struct InContexts {
  FrequencyTables tables;
  std::vector<uint8_t> values, contexts;
  std::vector<std::byte> carried;  ///< empty: the stream carries nothing besides
  std::vector<std::byte> stream;
};

InContexts EncodeInContexts(size_t count, int precision_bits, size_t context_count, bool carries) {
  InContexts c;
  std::mt19937 random(3);
  if (carries) {
    for (size_t i = 0; i < CarriedContextBytes(count); ++i) c.carried.push_back(static_cast<std::byte>(random()));
  }
  std::vector<ByteHistogram> counts(context_count);
  for (size_t i = 0; i < count; ++i) {
    auto context = static_cast<uint8_t>(random() % context_count);
    auto value = static_cast<uint8_t>(context * 3 + random() % (context + 6));
    c.contexts.push_back(context);
    c.values.push_back(value);
    ++counts[context][value];
  }
  c.tables.precision_bits = precision_bits;
  for (const ByteHistogram& histogram : counts)
    c.tables.contexts.push_back(NormaliseFrequencies(histogram, precision_bits));
  c.stream.resize(count + 4096);
  size_t written = ContextEncoder(c.tables).Encode(c.values, c.contexts, c.carried, c.stream);
  EXPECT_NE(written, 0U);
  c.stream.resize(written);
  return c;
}

TEST(ContextCoder, RestoresValuesInContextsOnEveryIsaAndPrecision) {
  for (int precision_bits = kMinPrecisionBits; precision_bits <= kMaxPrecisionBits; ++precision_bits) {
    InContexts c = EncodeInContexts(20000, precision_bits, 64, precision_bits % 2 == 0);
    std::vector<std::byte> padded = c.stream;
    padded.resize(c.stream.size() + kContextReadAhead);
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      std::vector<uint8_t> decoded(c.values.size());
      std::vector<std::byte> carried(c.carried.size());
      ByteSpan stream = ByteSpan(padded).first(c.stream.size());
      EXPECT_THAT(ContextDecoder(c.tables).Decode(stream, c.contexts, decoded, carried), IsOk());
      EXPECT_EQ(decoded, c.values);
      EXPECT_EQ(carried, c.carried);
    }
    ForceIsa(std::nullopt);
  }
}

TEST(ContextCoder, SaysSoWhereTheTargetIsTooSmall) {
  std::vector<uint8_t> values = Geometric(10000, 12, 5);
  size_t size = Encoded(values).size();
  std::vector<std::byte> target(size);
  EXPECT_EQ(EncodeBytes(Bytes(values), CountBytes(Bytes(values)), target), size);
  for (size_t room : {size_t{0}, size_t{1}, size_t{100}, size / 2, size - 1})
    EXPECT_EQ(EncodeBytes(Bytes(values), CountBytes(Bytes(values)), MutableByteSpan(target).first(room)), 0U);
}

TEST(ContextCoder, RefusesStreamsThatAreCutOrLonger) {
  for (size_t count : {size_t{1000}, size_t{20000}}) {
    std::vector<uint8_t> values = Geometric(count, 12, 6);
    std::vector<std::byte> coded = Encoded(values);
    std::vector<uint8_t> decoded(count);
    for (size_t cut : {1, 2, 3, 64, 500}) {
      ByteSpan shorter = ByteSpan(coded).first(coded.size() - static_cast<size_t>(cut));
      EXPECT_FALSE(Decoded(shorter, decoded).ok()) << cut;
    }
    coded.push_back({});
    EXPECT_FALSE(Decoded(coded, decoded).ok());
    coded.push_back({});
    EXPECT_FALSE(Decoded(coded, decoded).ok());
  }
}

TEST(ContextCoder, SurvivesNoiseOnEveryIsaAlike) {
  std::mt19937 random(9);
  std::vector<uint8_t> values = Geometric(20000, 12, 7);
  std::vector<std::byte> coded = Encoded(values);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> damaged = coded;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    if (round % 3 == 0) damaged.resize(random() % damaged.size());
    std::vector<std::vector<uint8_t>> results;
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      std::vector<uint8_t> decoded(values.size());
      decoded.push_back(Decoded(damaged, std::span(decoded).first(values.size())).ok());
      results.push_back(decoded);
    }
    ForceIsa(std::nullopt);
    for (const auto& result : results) EXPECT_EQ(result.back(), results[0].back());
  }
}

TEST(FrequencyTables, SurviveWritingAndReading) {
  std::mt19937 random(4);
  for (int round = 0; round < 100; ++round) {
    int precision_bits = kMinPrecisionBits + round % 7;
    std::vector<FrequencyTable> tables(1 + random() % 6);
    for (FrequencyTable& table : tables) {
      ByteHistogram counts{};
      size_t kinds = 1 + random() % (size_t{1} << precision_bits >> 1);
      for (size_t i = 0; i < kinds; ++i) counts[random() % 256] += static_cast<uint32_t>(random() % 1000);
      // Some of every size are too lopsided for many bits.
      if (!FitsPrecision(counts, precision_bits)) counts.fill(7);
      table = NormaliseFrequencies(counts, precision_bits);
      int sum = 0;
      for (size_t v = 0; v < 256; ++v) {
        sum += table.frequency[v];
        EXPECT_TRUE(counts[v] == 0 || table.frequency[v] > 0);
      }
      ASSERT_EQ(sum, 1 << precision_bits);
    }
    ByteWriter writer;
    WriteFrequencyTables(tables, precision_bits, writer);
    ReadCursor cursor(writer.bytes());
    Result<FrequencyTables> read = ReadFrequencyTables(cursor);
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(cursor.remaining(), 0U);
    ASSERT_EQ(read.value().contexts.size(), tables.size());
    for (size_t i = 0; i < tables.size(); ++i) EXPECT_EQ(read.value().contexts[i].frequency, tables[i].frequency);
  }
}

TEST(FrequencyTables, RefuseWhatCannotBe) {
  struct Bad {
    const char* what;
    std::vector<uint8_t> bytes;
    ErrorCode code;
  };
  const Bad cases[] = {
      {"nothing", {}, ErrorCode::kTruncated},
      {"no context", {0, 12, 0, 0}, ErrorCode::kCorrupt},
      {"65 contexts", {65, 12, 0, 0}, ErrorCode::kCorrupt},
      {"precision 7", {1, 7, 0, 0}, ErrorCode::kCorrupt},
      {"precision 15", {1, 15, 0, 0}, ErrorCode::kCorrupt},
      {"a frequency over 4096", {1, 13, 0, 0}, ErrorCode::kCorrupt},
      {"first behind last", {1, 12, 9, 8}, ErrorCode::kCorrupt},
      {"cut off", {1, 12, 8, 9}, ErrorCode::kTruncated},
      {"a code without an end", {1, 12, 8, 9, 0, 0, 0, 0}, ErrorCode::kCorrupt},
      {"a negative frequency", {1, 12, 8, 9, 0x18, 0xFF}, ErrorCode::kCorrupt},
  };
  for (const Bad& bad : cases) {
    ReadCursor cursor(std::as_bytes(std::span(bad.bytes)));
    EXPECT_THAT(ReadFrequencyTables(cursor), FailsWith(bad.code)) << bad.what;
  }
}

}  // namespace
}  // namespace flyweight
