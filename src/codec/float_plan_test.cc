#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/record_side.h"
#include "simd/isa.h"
#include "support/float_bits.h"
#include "support/random.h"
#include "support/weights.h"

// Which side information a tensor gets: asserted on the head that PlanRecord gives.

namespace flyweight {
namespace {

using test::Bytes;
using test::IsOk;
using test::Pattern;
using test::Random;

// A Gaussian matrix whose row r is scaled by 2^row_exponent(r), columns likewise.
template <typename RowExponent, typename ColumnExponent>
Bytes ScaledMatrix(DType dtype, size_t rows, size_t columns, RowExponent row_exponent, ColumnExponent column_exponent) {
  test::FloatFormat format = *test::FloatFormatOf(dtype);
  size_t word_bytes = static_cast<size_t>(format.bits()) / 8;
  Random random(rows + columns);
  Bytes bytes(rows * columns * word_bytes);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) {
      double value = std::ldexp(0.1 * random.Gaussian(), row_exponent(r) + column_exponent(c));
      uint64_t word = test::EncodeFloat(format, value);
      std::memcpy(bytes.data() + (r * columns + c) * word_bytes, &word, word_bytes);
    }
  }
  return bytes;
}

int Same(size_t) { return 0; }
int Alternating(size_t i) { return static_cast<int>(i * 7 % 5) - 2; }

const FloatSide& SideOf(const RecordPlan& plan) { return *plan.head.side->floats; }

RecordPlan Plan(const Bytes& content, DType dtype, const Shape& shape) {
  CodecScratch scratch;
  Result<RecordPlan> plan =
      PlanRecord(MemorySource(content), 0, content.size(), dtype, shape, Level::kBalanced, scratch);
  EXPECT_THAT(plan, IsOk());
  return std::move(plan).value();
}

class FloatPlan : public testing::TestWithParam<DType> {
 protected:
  static constexpr size_t kRows = 256, kColumns = 192;

  // Plans, and checks that the parsed head says the same and that content comes back.
  static RecordPlan PlanAndRoundTrip(const Bytes& content, const Shape& shape) {
    CodecScratch scratch;
    Result<test::EncodedRecord> record = test::EncodeRecord(content, GetParam(), shape, scratch);
    EXPECT_THAT(record, IsOk());
    Result<RecordHead> head = ParseRecordHead(record.value().plan.head_bytes);
    EXPECT_THAT(head, IsOk());
    const FloatSide &planned = SideOf(record.value().plan), &parsed = *head.value().side->floats;
    EXPECT_EQ(parsed.layout, planned.layout);
    EXPECT_EQ(parsed.by_rows, planned.by_rows);
    EXPECT_EQ(parsed.by_columns, planned.by_columns);
    EXPECT_EQ(parsed.column_count, planned.column_count);
    EXPECT_EQ(parsed.column_shifts, planned.column_shifts);
    Result<Bytes> decoded = test::DecodeRecord(record.value(), scratch);
    EXPECT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == content);
    return std::move(record.value().plan);
  }
};

TEST_P(FloatPlan, LeavesAPlainMatrixAlone) {
  Bytes content = ScaledMatrix(GetParam(), kRows, kColumns, Same, Same);
  RecordPlan plan = PlanAndRoundTrip(content, {kRows, kColumns});
  EXPECT_FALSE(SideOf(plan).by_rows);
  EXPECT_FALSE(SideOf(plan).by_columns);
  EXPECT_EQ(SideOf(plan).column_count, 0U);
}

TEST_P(FloatPlan, RecentresByRowsWhereRowsDiffer) {
  Bytes content = ScaledMatrix(GetParam(), kRows, kColumns, Alternating, Same);
  RecordPlan plan = PlanAndRoundTrip(content, {kRows, kColumns});
  EXPECT_TRUE(SideOf(plan).by_rows);
  EXPECT_FALSE(SideOf(plan).by_columns);
  EXPECT_EQ(SideOf(plan).column_count, kColumns);
}

TEST_P(FloatPlan, RecentresByColumnsWhereColumnsDiffer) {
  Bytes content = ScaledMatrix(GetParam(), kRows, kColumns, Same, Alternating);
  RecordPlan plan = PlanAndRoundTrip(content, {kRows, kColumns});
  EXPECT_FALSE(SideOf(plan).by_rows);
  ASSERT_TRUE(SideOf(plan).by_columns);
  for (size_t c = 0; c < kColumns; ++c) {
    EXPECT_EQ(SideOf(plan).column_shifts[c] - SideOf(plan).column_shifts[0], Alternating(c) - Alternating(0)) << c;
  }
}

TEST_P(FloatPlan, RecentresByBothWhereBothDiffer) {
  Bytes content = ScaledMatrix(GetParam(), kRows, kColumns, Alternating, Alternating);
  RecordPlan plan = PlanAndRoundTrip(content, {kRows, kColumns});
  EXPECT_TRUE(SideOf(plan).by_rows);
  EXPECT_TRUE(SideOf(plan).by_columns);
}

TEST_P(FloatPlan, OfTheFastLevelRecentresNothing) {
  Bytes content = ScaledMatrix(GetParam(), kRows, kColumns, Alternating, Alternating);
  CodecScratch scratch;
  Result<test::EncodedRecord> record =
      test::EncodeRecord(content, GetParam(), {kRows, kColumns}, scratch, Level::kFast);
  ASSERT_THAT(record, IsOk());
  EXPECT_FALSE(SideOf(record.value().plan).shifted());
  EXPECT_EQ(test::CodecOf(record.value().frames[0]), static_cast<uint8_t>(CodecId::kFloat));
  Result<Bytes> decoded = test::DecodeRecord(record.value(), scratch);
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == content);
}

TEST_P(FloatPlan, OfTheFastLevelGivesEveryChunkTheSameTable) {
  // Halves of scales so different that a chunk of either has its own table at other levels.
  size_t rows = 2 * ChunkBytesFor(GetParam()) / ElementBytes(GetParam()) / kColumns;
  auto halves = [&](size_t row) { return row < rows / 2 ? 0 : -6; };
  Bytes content = ScaledMatrix(GetParam(), rows, kColumns, halves, Same);
  CodecScratch scratch;
  for (Level level : {Level::kFast, Level::kBalanced}) {
    Result<test::EncodedRecord> record = test::EncodeRecord(content, GetParam(), {}, scratch, level);
    ASSERT_THAT(record, IsOk());
    uint32_t flags = LoadLe<uint32_t>(record.value().frames[0].data() + kFrameHeaderBytes);
    EXPECT_EQ(flags, level == Level::kFast ? 0U : 1U);
    EXPECT_TRUE(test::DecodeRecord(record.value(), scratch).value() == content);
  }
}

TEST_P(FloatPlan, ReadsAConvolutionAsTheMatrixThatFitsBetter) {
  // 16 x 32 filters of 8 x 8, each with a scale of its own; read as 16 rows the scales would be columns' and rows'
  // mixed.
  Bytes content =
      ScaledMatrix(GetParam(), 16 * 32, 64, [](size_t r) { return static_cast<int>(r * 2654435761U >> 7) % 5; }, Same);
  RecordPlan plan = PlanAndRoundTrip(content, {16, 32, 8, 8});
  EXPECT_TRUE(SideOf(plan).by_rows);
  EXPECT_EQ(SideOf(plan).column_count, 64U);
}

TEST_P(FloatPlan, IgnoresAShapeThatIsNotTheContents) {
  Bytes content = ScaledMatrix(GetParam(), kRows, kColumns, Alternating, Same);
  for (const Shape& shape : {Shape{}, Shape{kRows * kColumns}, Shape{kRows + 1, kColumns}, Shape{0, 0, 3},
                             Shape{UINT64_MAX, UINT64_MAX, UINT64_MAX}, Shape{7, 11, 13}}) {
    RecordPlan plan = PlanAndRoundTrip(content, shape);
    EXPECT_FALSE(SideOf(plan).shifted());
  }
}

TEST_P(FloatPlan, DoesNotDependOnTheIsa) {
  Random random(5);
  Bytes content = test::MakeTensor(GetParam(), 333, 257, Pattern::kSpecials, random);
  ForceIsa(Isa::kScalar);
  Bytes expected = Plan(content, GetParam(), {333, 257}).head_bytes;
  for (Isa isa : SupportedIsas()) {
    ForceIsa(isa);
    EXPECT_TRUE(Plan(content, GetParam(), {333, 257}).head_bytes == expected) << IsaName(isa);
  }
  ForceIsa(std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(EachLayout, FloatPlan, testing::Values(DType::kBF16, DType::kF16, DType::kF32),
                         [](const auto& each) { return std::string(Describe(each.param).name); });

TEST(FloatPlanOfComplexNumbers, CountsTwoWordsAnElement) {
  Bytes content = ScaledMatrix(DType::kF32, 128, 2 * 96, Alternating, Same);
  RecordPlan plan = Plan(content, DType::kC64, {128, 96});
  EXPECT_EQ(SideOf(plan).layout, FloatLayout::kF32);
  EXPECT_TRUE(SideOf(plan).by_rows);
  EXPECT_EQ(SideOf(plan).column_count, 192U);
}

TEST(FloatPlanOfShortTensors, HasNoSideInformation) {
  Random random(1);
  for (size_t count : {0, 1, 4095}) {
    Bytes content = test::MakeTensor(DType::kBF16, 1, count, Pattern::kWeights, random);
    RecordPlan plan = Plan(content, DType::kBF16, {count});
    EXPECT_EQ(plan.head.side->transform, TransformId::kNone);
    EXPECT_EQ(plan.head_bytes.size(), kRecordHeadMinBytes);
  }
  Bytes content = test::MakeTensor(DType::kBF16, 1, 4096, Pattern::kWeights, random);
  EXPECT_EQ(Plan(content, DType::kBF16, {4096}).head.side->transform, TransformId::kFloatFields);
}

// Reads like a file: no memory to look into.
class ReadingSource final : public ByteSource {
 public:
  explicit ReadingSource(ByteSpan bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    if (offset + target.size() > fail_from_) return Error{ErrorCode::kIo, offset, "the disk is gone"};
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), target.size(), target.begin());
    return {};
  }
  void FailFrom(uint64_t offset) { fail_from_ = offset; }

 private:
  ByteSpan bytes_;
  uint64_t fail_from_ = UINT64_MAX;
};

TEST(PlanRecord, IsTheSameFromMemoryAndFromAFileAtAnyOffset) {
  Random random(2);
  Bytes content = test::MakeTensor(DType::kF32, 300, 515, Pattern::kWeights, random);
  Bytes expected = Plan(content, DType::kF32, {300, 515}).head_bytes;
  for (size_t offset : {0, 1, 7, 1000}) {
    Bytes file(offset, std::byte{0xEE});
    file.insert(file.end(), content.begin(), content.end());
    CodecScratch scratch;
    Result<RecordPlan> plan =
        PlanRecord(ReadingSource(file), offset, content.size(), DType::kF32, {300, 515}, Level::kBalanced, scratch);
    ASSERT_THAT(plan, IsOk());
    EXPECT_TRUE(plan.value().head_bytes == expected) << offset;
  }
}

TEST(PlanRecord, HandsOnTheErrorsOfReading) {
  Bytes content(1 << 20);
  ReadingSource source(content);
  source.FailFrom(1 << 19);
  CodecScratch scratch;
  EXPECT_THAT(PlanRecord(source, 0, content.size(), DType::kBF16, {1 << 19}, Level::kBalanced, scratch),
              test::FailsWith(ErrorCode::kIo));
}

}  // namespace
}  // namespace flyweight
