#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "codec/codec_test_tools.h"
#include "codec/record_side.h"
#include "support/random.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::FixHead;
using test::IsOk;
using test::Random;

constexpr size_t kSideOffset = 32;

Bytes HeadOf(DType dtype, size_t rows, size_t columns) {
  Random random(3);
  Bytes content = test::MakeTensor(dtype, rows, columns, test::Pattern::kWeights, random);
  CodecScratch scratch;
  Result<RecordPlan> plan =
      PlanRecord(MemorySource(content), 0, content.size(), dtype, {rows, columns}, Level::kBalanced, scratch);
  EXPECT_THAT(plan, IsOk());
  return plan.value().head_bytes;
}

Bytes PlainHead() { return HeadOf(DType::kI32, 10, 10); }
// Has column shifts: the shift vector starts at kSideOffset + 8.
Bytes FloatHead() { return HeadOf(DType::kBF16, 512, 64); }

template <typename T>
void Put(Bytes& head, size_t offset, T value) {
  StoreLe(head.data() + offset, value);
}

// A head with zeros put in front of the checksum.
void Lengthen(Bytes& head, size_t count) { head.insert(head.end() - 8, count, std::byte{0}); }

TEST(RecordHead, ComesBackFromItsBytes) {
  Result<RecordHead> head = ParseRecordHead(PlainHead());
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head.value().dtype, DType::kI32);
  EXPECT_EQ(head.value().decoded_bytes, 400U);
  EXPECT_EQ(head.value().chunk_bytes, ChunkBytesFor(DType::kI32));
  EXPECT_EQ(head.value().chunk_count, 1U);
  EXPECT_EQ(head.value().ChunkDecodedBytes(0), 400U);
  EXPECT_EQ(head.value().side->transform, TransformId::kNone);
}

TEST(RecordHead, OfFloatsHoldsTheirSideInformation) {
  Result<RecordHead> head = ParseRecordHead(FloatHead());
  ASSERT_THAT(head, IsOk());
  ASSERT_TRUE(head.value().side->floats.has_value());
  EXPECT_TRUE(head.value().side->floats->by_columns);
  EXPECT_EQ(head.value().side->floats->column_shifts.size(), 64U);
}

TEST(RecordHead, OfNothingHasNoChunks) {
  Result<RecordHead> head = ParseRecordHead(HeadOf(DType::kF32, 0, 0));
  ASSERT_THAT(head, IsOk());
  EXPECT_EQ(head.value().chunk_count, 0U);
}

TEST(RecordHead, TurnsBytesThatAreNotWholeElementsIntoOpaqueOnes) {
  Bytes content(1001);
  CodecScratch scratch;
  Result<RecordPlan> plan =
      PlanRecord(MemorySource(content), 0, content.size(), DType::kF64, {}, Level::kBalanced, scratch);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan.value().head.dtype, DType::kOpaque);
}

TEST(RecordHead, TakesBlockTypesForOpaqueBytes) {
  Bytes content(144 * 7);
  CodecScratch scratch;
  Result<RecordPlan> plan =
      PlanRecord(MemorySource(content), 0, content.size(), DType::kGgmlQ4K, {7, 256}, Level::kBalanced, scratch);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan.value().head.dtype, DType::kOpaque);
  EXPECT_THAT(ParseRecordHead(plan.value().head_bytes), IsOk());
}

TEST(ChunkBytesFor, Is256KiElementsOr1MiBOfOpaqueOnes) {
  EXPECT_EQ(ChunkBytesFor(DType::kBF16), 512U << 10);
  EXPECT_EQ(ChunkBytesFor(DType::kC64), 2U << 20);
  EXPECT_EQ(ChunkBytesFor(DType::kF4), 256U << 10);
  EXPECT_EQ(ChunkBytesFor(DType::kOpaque), 1U << 20);
  EXPECT_EQ(ChunkBytesFor(DType::kGgmlQ4K), 1U << 20);
}

struct BrokenHead {
  std::string name;
  ErrorCode code;
  std::function<void(Bytes&)> breaks;  ///< size and checksum are put right afterwards
  bool floats = false;
};

const BrokenHead kBrokenHeads[] = {
    {"UnknownDType", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, 8, uint16_t{23}); }},
    {"BlockType", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, 8, uint16_t{76}); }},
    {"DTypeOf65535", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, 8, uint16_t{65535}); }},
    {"UnknownTransform", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, 10, uint8_t{255}); }},
    {"TransformWithoutSide", ErrorCode::kTruncated, [](Bytes& h) { Put(h, 10, uint8_t{1}); }},
    {"FirstReservedByte", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, 11, uint8_t{1}); }},
    {"NoElementsAChunk", ErrorCode::kLimitExceeded, [](Bytes& h) { Put(h, 12, uint32_t{0}); }},
    {"ChunksOverFourMiB", ErrorCode::kLimitExceeded, [](Bytes& h) { Put(h, 12, uint32_t{(1 << 20) + 1}); }},
    {"ChunksOfSixteenGiB", ErrorCode::kLimitExceeded, [](Bytes& h) { Put(h, 12, UINT32_MAX); }},
    {"PartOfAnElement", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, 16, uint64_t{399}); }},
    {"LastReservedBytes", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, 24, uint64_t{1} << 63); }},
    {"SideWithoutTransform", ErrorCode::kCorrupt, [](Bytes& h) { Lengthen(h, 1); }},
    {"FloatsWithoutTransform", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, 10, uint8_t{0}); }, true},
    {"UnknownLayout", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, kSideOffset, uint8_t{4}); }, true},
    {"LayoutOfZero", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, kSideOffset, uint8_t{0}); }, true},
    {"LayoutOfAnotherDType", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, kSideOffset, uint8_t{2}); }, true},
    {"FloatsOfIntegers", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, 8, uint16_t{4}); }, true},
    {"UnknownMode", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, kSideOffset + 1, uint8_t{4}); }, true},
    {"ReservedOfTheSide", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, kSideOffset + 2, uint16_t{1}); }, true},
    {"NoColumns", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, kSideOffset + 4, uint32_t{0}); }, true},
    {"TooManyColumns", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, kSideOffset + 4, uint32_t{(1 << 20) + 1}); }, true},
    {"ColumnsWithoutMode", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, kSideOffset + 1, uint8_t{0}); }, true},
    {"OneColumnMore", ErrorCode::kCorrupt, [](Bytes& h) { Put(h, kSideOffset + 4, uint32_t{65}); }, true},
    {"UnknownShiftMethod", ErrorCode::kUnsupportedFeature, [](Bytes& h) { Put(h, kSideOffset + 8, uint8_t{3}); }, true},
    {"ShiftsPastTheEnd", ErrorCode::kTruncated, [](Bytes& h) { Put(h, kSideOffset + 9, UINT32_MAX); }, true},
    {"BytesBehindTheTable", ErrorCode::kCorrupt, [](Bytes& h) { Lengthen(h, 1); }, true},
    {"TableCutOff", ErrorCode::kTruncated, [](Bytes& h) { h.erase(h.end() - 9); }, true},
    {"FrequenciesNot256", ErrorCode::kCorrupt, [](Bytes& h) { h[h.size() - 9] ^= std::byte{1}; }, true},
};

class BrokenRecordHead : public testing::TestWithParam<BrokenHead> {};

TEST_P(BrokenRecordHead, IsRefused) {
  Bytes head = GetParam().floats ? FloatHead() : PlainHead();
  ASSERT_THAT(ParseRecordHead(head), IsOk());
  GetParam().breaks(head);
  EXPECT_THAT(ParseRecordHead(head), testing::Not(IsOk())) << "the checksum";
  FixHead(head);
  EXPECT_THAT(ParseRecordHead(head), FailsWith(GetParam().code));
}

INSTANTIATE_TEST_SUITE_P(Each, BrokenRecordHead, testing::ValuesIn(kBrokenHeads),
                         [](const auto& each) { return each.param.name; });

TEST(ParseRecordHead, RefusesEachFlippedBit) {
  for (const Bytes& sound : {PlainHead(), FloatHead()}) {
    for (size_t bit = 0; bit < 8 * sound.size(); ++bit) {
      Bytes head = sound;
      head[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
      EXPECT_THAT(ParseRecordHead(head), testing::Not(IsOk())) << bit;
    }
  }
}

TEST(ParseRecordHead, RefusesBytesCutOffAnywhereOrLeftOver) {
  Bytes head = FloatHead();
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_THAT(ParseRecordHead(ByteSpan(head).first(size)), FailsWith(ErrorCode::kTruncated)) << size;
  }
  head.push_back(std::byte{0});
  EXPECT_THAT(ParseRecordHead(head), FailsWith(ErrorCode::kCorrupt));
}

TEST(PeekRecordHeadBytes, ChecksMagicAndSize) {
  Bytes head = PlainHead();
  auto peek = [&head](uint32_t head_bytes) {
    Put(head, 4, head_bytes);
    return PeekRecordHeadBytes(ByteSpan(head).first(8));
  };
  EXPECT_EQ(peek(40).value(), 40U);
  EXPECT_EQ(peek(1 << 21).value(), 1U << 21);
  EXPECT_THAT(peek(39), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(peek(0), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(peek((1 << 21) + 1), FailsWith(ErrorCode::kLimitExceeded));
  EXPECT_THAT(peek(UINT32_MAX), FailsWith(ErrorCode::kLimitExceeded));
  EXPECT_THAT(PeekRecordHeadBytes(ByteSpan(head).first(7)), FailsWith(ErrorCode::kTruncated));
  head[0] ^= std::byte{1};
  EXPECT_THAT(peek(40), FailsWith(ErrorCode::kCorrupt));
}

// Heads are small, what they declare is not: nothing may be set aside for it.
TEST(ParseRecordHead, TakesAnyNumberOfDecodedBytes) {
  for (uint64_t decoded_bytes : {uint64_t{1} << 32, uint64_t{1} << 63, ~uint64_t{3}}) {
    Bytes bytes = PlainHead();
    Put(bytes, 16, decoded_bytes);
    FixHead(bytes);
    Result<RecordHead> head = ParseRecordHead(bytes);
    ASSERT_THAT(head, IsOk());
    EXPECT_EQ(head.value().chunk_count, (decoded_bytes - 1) / (1 << 20) + 1);
    EXPECT_LE(head.value().ChunkDecodedBytes(head.value().chunk_count - 1), head.value().chunk_bytes);
    EXPECT_THAT(ParseChunkTable(head.value(), Bytes(24)), FailsWith(ErrorCode::kCorrupt));
  }
}

RecordHead ThreeChunks() {
  Bytes bytes = PlainHead();
  Put(bytes, 12, uint32_t{40});  // 160 bytes a chunk, so 160, 160 and 80
  FixHead(bytes);
  return ParseRecordHead(bytes).value();
}

TEST(ChunkTable, ComesBackFromItsBytes) {
  std::vector<ChunkEntry> entries = {{24, 1}, {24 + 160 + 64, UINT64_MAX}, {24 + 80 + 64, 3}};
  Bytes bytes = WriteChunkTable(entries);
  EXPECT_EQ(bytes.size(), 3 * kChunkEntryBytes);
  Result<std::vector<ChunkEntry>> parsed = ParseChunkTable(ThreeChunks(), bytes);
  ASSERT_THAT(parsed, IsOk());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(parsed.value()[i].frame_bytes, entries[i].frame_bytes);
    EXPECT_EQ(parsed.value()[i].decoded_xxh3, entries[i].decoded_xxh3);
  }
}

TEST(ChunkTable, RefusesAnotherNumberOfBytes) {
  Bytes bytes = WriteChunkTable({{24, 1}, {24, 2}, {24, 3}});
  for (size_t size : {0, 1, 12, 24, 35}) {
    EXPECT_THAT(ParseChunkTable(ThreeChunks(), ByteSpan(bytes).first(size)), FailsWith(ErrorCode::kCorrupt)) << size;
  }
  bytes.resize(48);
  EXPECT_THAT(ParseChunkTable(ThreeChunks(), bytes), FailsWith(ErrorCode::kCorrupt));
}

TEST(ChunkTable, RefusesFramesThatCannotBe) {
  for (uint32_t frame_bytes : {0U, 23U, 24U + 80 + 64 + 1, UINT32_MAX}) {
    Bytes bytes = WriteChunkTable({{24, 1}, {24, 2}, {frame_bytes, 3}});
    EXPECT_THAT(ParseChunkTable(ThreeChunks(), bytes), FailsWith(ErrorCode::kCorrupt)) << frame_bytes;
  }
}

TEST(RecordCheck, IsTheHashOfHeadAndTable) {
  Bytes head = PlainHead(), table = WriteChunkTable({{24, 1}});
  Bytes joined = head;
  joined.insert(joined.end(), table.begin(), table.end());
  EXPECT_EQ(RecordCheck(head, table), Xxh3(joined));
}

}  // namespace
}  // namespace flyweight
