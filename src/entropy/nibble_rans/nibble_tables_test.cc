#include "entropy/nibble_rans/nibble_tables.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "entropy/context_rans/frequency_table.h"
#include "entropy/nibble_rans/nibble_test_tools.h"
#include "support/matchers.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::MakeNibbles;

void ExpectSound(const NibbleTables& tables, const NibbleCounts& counts) {
  ASSERT_GE(tables.table_count, 1U);
  ASSERT_LE(tables.table_count, kNibbleTables);
  EXPECT_EQ(tables.table_of_context[0], 0);
  for (size_t t = 0; t < tables.table_count; ++t) {
    const auto& frequency = tables.frequency[t];
    EXPECT_EQ(std::accumulate(frequency.begin(), frequency.end(), 0), kNibbleSlots);
    EXPECT_GE(frequency[0], 1);
  }
  for (size_t k = 0; k < kNibbleContexts; ++k) {
    size_t table = tables.table_of_context[k];
    ASSERT_LT(table, tables.table_count);
    EXPECT_LE(table - tables.table_of_context[k == 0 ? 0 : k - 1], 1U);
    for (size_t s = 0; s < kNibbleSymbols; ++s) {
      EXPECT_TRUE(counts[k][s] == 0 || tables.frequency[table][s] != 0) << k << " " << s;
    }
  }
}

std::vector<std::byte> Written(const NibbleTables& tables) {
  ByteWriter writer;
  WriteNibbleTables(tables, writer);
  return writer.Release();
}

NibbleCounts OnlyIn(size_t context, std::vector<std::pair<size_t, uint64_t>> symbols) {
  NibbleCounts counts{};
  for (auto [symbol, count] : symbols) counts[context][symbol] = count;
  return counts;
}

TEST(NibbleTables, GiveEverySymbolThatOccursASlotWhateverTheCountsAre) {
  std::vector<NibbleCounts> all = {{},
                                   OnlyIn(0, {{0, 1}}),
                                   OnlyIn(63, {{0, uint64_t{1} << 40}}),
                                   OnlyIn(63, {{0, uint64_t{1} << 39}, {15, 1}}),
                                   OnlyIn(20, {{15, 1000000}}),
                                   OnlyIn(20, {{15, 1000000}, {1, 1}, {2, 1}, {3, 1}, {4, 1}})};
  for (uint64_t seed = 0; seed < 20; ++seed) all.push_back(MakeNibbles(size_t{1} << (seed % 17), seed).counts);
  for (const NibbleCounts& counts : all) {
    NibbleTables tables = BuildNibbleTables(counts);
    ExpectSound(tables, counts);
    std::vector<std::byte> written = Written(tables);
    ReadCursor cursor(written);
    Result<NibbleTables> read = ReadNibbleTables(cursor);
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(cursor.remaining(), 0U);
    EXPECT_EQ(read.value().table_count, tables.table_count);
    EXPECT_EQ(read.value().table_of_context, tables.table_of_context);
    EXPECT_EQ(read.value().frequency, tables.frequency);
  }
}

TEST(NibbleCounts, AreExactAndAddUp) {
  constexpr size_t kCount = 100003;  // more than one pass, and not whole ones
  test::Random random(1);
  std::vector<uint8_t> contexts(kCount), symbols(kCount);
  NibbleCounts expected{}, counts{};
  expected[5][3] = counts[5][3] = uint64_t{1} << 33;
  for (size_t i = 0; i < kCount; ++i) {
    contexts[i] = static_cast<uint8_t>(i < 50000 ? 63 : random.Below(64));
    symbols[i] = static_cast<uint8_t>(i < 50000 ? 15 : random.Below(16));
    ++expected[contexts[i]][symbols[i]];
  }
  CountNibbles(contexts.data(), symbols.data(), kCount, counts);
  EXPECT_EQ(counts, expected);
}

TEST(NibbleTables, AreFewWhereFewSymbolsWereCounted) {
  EXPECT_LE(BuildNibbleTables(MakeNibbles(400, 1).counts).table_count, 4U);
  EXPECT_EQ(BuildNibbleTables(MakeNibbles(1 << 20, 1).counts).table_count, kNibbleTables);
}

TEST(NibbleTables, TakeLessThanTwoHundredAndFiftyBytes) {
  EXPECT_LT(Written(BuildNibbleTables(MakeNibbles(1 << 20, 1).counts)).size(), 250U);
  EXPECT_LT(Written(BuildNibbleTables(MakeNibbles(500, 1).counts)).size(), 40U);
}

TEST(NibbleTables, CutWhereContextsDiffer) {
  NibbleCounts counts{};
  for (size_t k = 10; k < 40; ++k) counts[k][k < 27 ? 0 : 9] = 1000, counts[k][1] = 10;
  NibbleTables tables = BuildNibbleTables(counts);
  EXPECT_EQ(tables.table_count, 2U);
  EXPECT_EQ(tables.table_of_context[26], 0);
  EXPECT_EQ(tables.table_of_context[27], 1);
}

struct BadTables {
  const char* what;
  uint64_t starts;
  int precision_bits;
  std::vector<std::vector<uint16_t>> frequencies;
};

TEST(NibbleTables, AreRefusedWhereARuleDoesNotHold) {
  const std::vector<BadTables> all = {
      {"a start before the first context", 1, 8, {{128, 128}, {128, 128}}},
      {"more starts than tables", 6, 8, {{128, 128}, {128, 128}}},
      {"more tables than starts", 0, 8, {{128, 128}, {128, 128}}},
      {"too fine frequencies", 0, 9, {{256, 256}}},
      {"no slot for symbol 0", 0, 8, {{0, 256}}},
      {"all slots for symbol 0", 0, 8, {{256}}},
      {"a symbol over 15", 0, 8, {{200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 56}}},
      {"seventeen tables", 0x1FFFE, 8, std::vector<std::vector<uint16_t>>(17, {128, 128})},
  };
  for (const BadTables& bad : all) {
    ByteWriter writer;
    writer.Write(bad.starts);
    std::vector<FrequencyTable> wide(bad.frequencies.size());
    for (size_t t = 0; t < wide.size(); ++t)
      std::copy(bad.frequencies[t].begin(), bad.frequencies[t].end(), wide[t].frequency.begin());
    WriteFrequencyTables(wide, bad.precision_bits, writer);
    std::vector<std::byte> bytes = writer.Release();
    ReadCursor cursor(bytes);
    EXPECT_THAT(ReadNibbleTables(cursor), FailsWith(ErrorCode::kCorrupt)) << bad.what;
  }
}

TEST(NibbleTables, AreRefusedWhereTheyAreCutOff) {
  std::vector<std::byte> written = Written(BuildNibbleTables(MakeNibbles(10000, 1).counts));
  for (size_t size = 0; size < written.size(); ++size) {
    ReadCursor cursor(ByteSpan(written).first(size));
    EXPECT_THAT(ReadNibbleTables(cursor), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

}  // namespace
}  // namespace flyweight
