#include "codec/class_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
#include "simd/isa.h"
#include "support/random.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::EncodedRecord;
using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;

constexpr uint8_t kClassCodec = static_cast<uint8_t>(CodecId::kClasses);
constexpr DType kDTypes[] = {DType::kBF16,   DType::kF16,    DType::kF32,        DType::kC64,
                             DType::kF8E4M3, DType::kF8E5M2, DType::kF8E4M3FNUZ, DType::kF8E5M2FNUZ};

Bytes Make(DType dtype, size_t rows, size_t columns, Pattern pattern, uint64_t seed = 1) {
  Random random(seed);
  return test::MakeTensor(dtype, rows, columns, pattern, random);
}

EncodedRecord Encode(const Bytes& content, DType dtype, const Shape& shape, Level level = Level::kHigh) {
  CodecScratch scratch;
  Result<EncodedRecord> record = test::EncodeRecord(content, dtype, shape, scratch, level);
  EXPECT_THAT(record, IsOk());
  return std::move(record).value();
}

void ExpectRestores(const EncodedRecord& record, const Bytes& content) {
  CodecScratch scratch;
  for (Isa isa : SupportedIsas()) {
    ForceIsa(isa);
    Result<Bytes> decoded = test::DecodeRecord(record, scratch);
    ASSERT_THAT(decoded, IsOk()) << IsaName(isa);
    EXPECT_TRUE(decoded.value() == content) << IsaName(isa);
  }
  ForceIsa(std::nullopt);
}

uint64_t SizeOf(const EncodedRecord& record) {
  uint64_t size = record.plan.head_bytes.size();
  for (const Bytes& frame : record.frames) size += frame.size();
  return size;
}

class ClassCodec : public testing::TestWithParam<DType> {};

TEST_P(ClassCodec, RestoresEveryPatternOnEveryIsa) {
  for (Pattern pattern : test::kAllPatterns) {
    SCOPED_TRACE(test::PatternName(pattern));
    Bytes content = Make(GetParam(), 67, 301, pattern);
    ExpectRestores(Encode(content, GetParam(), {67, 301}), content);
  }
}

TEST_P(ClassCodec, EncodesTheSameBytesOnEveryIsa) {
  for (Pattern pattern : {Pattern::kWeights, Pattern::kSparse, Pattern::kSpecials}) {
    Bytes content = Make(GetParam(), 90, 700, pattern);
    ForceIsa(Isa::kScalar);
    EncodedRecord reference = Encode(content, GetParam(), {90, 700});
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      EncodedRecord record = Encode(content, GetParam(), {90, 700});
      EXPECT_TRUE(record.plan.head_bytes == reference.plan.head_bytes) << IsaName(isa);
      EXPECT_TRUE(record.frames == reference.frames) << IsaName(isa);
    }
    ForceIsa(std::nullopt);
  }
}

TEST_P(ClassCodec, TakesChunksThatEndInsideOfRowsAndTensorsOfEveryShape) {
  for (Shape shape : {Shape{1400, 400}, Shape{560000}, Shape{7, 200, 400}, Shape{70, 80, 10, 10}}) {
    Bytes content = Make(GetParam(), 1400, 400, Pattern::kWeights);
    EncodedRecord record = Encode(content, GetParam(), shape);
    EXPECT_GE(record.frames.size(), 3U);
    for (const Bytes& frame : record.frames) EXPECT_EQ(test::CodecOf(frame), kClassCodec);
    ExpectRestores(record, content);
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, ClassCodec, testing::ValuesIn(kDTypes),
                         [](const auto& row) { return std::string(Describe(row.param).name); });

TEST(ClassPlan, ReCentresByRowsAndColumns) {
  Bytes scaled = Make(DType::kBF16, 512, 512, Pattern::kWeights);
  EXPECT_LT(SizeOf(Encode(scaled, DType::kBF16, {512, 512})), SizeOf(Encode(scaled, DType::kBF16, {})) * 98 / 100);
}

TEST(ClassPlan, MakesHighSmallerThanBalanced) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    Bytes content = Make(dtype, 512, 512, Pattern::kWeights);
    EXPECT_LT(SizeOf(Encode(content, dtype, {512, 512}, Level::kHigh)),
              SizeOf(Encode(content, dtype, {512, 512}, Level::kBalanced)));
  }
}

TEST(ClassPlan, CodesZerosAndSingleSignsInClassesAtBalancedToo) {
  Bytes sparse = Make(DType::kBF16, 300, 300, Pattern::kSparse);
  EncodedRecord record = Encode(sparse, DType::kBF16, {300, 300}, Level::kBalanced);
  EXPECT_EQ(test::CodecOf(record.frames[0]), kClassCodec);
  EXPECT_LT(SizeOf(record), sparse.size() / 7);

  Bytes positive = Make(DType::kF32, 300, 300, Pattern::kWeights);
  for (size_t i = 3; i < positive.size(); i += 4) positive[i] &= std::byte{0x7F};
  record = Encode(positive, DType::kF32, {300, 300}, Level::kBalanced);
  EXPECT_EQ(test::CodecOf(record.frames[0]), kClassCodec);
}

TEST(ClassPlan, LeavesDenseWeightsToTheFasterCoderAtBalanced) {
  Bytes content = Make(DType::kBF16, 300, 300, Pattern::kWeights);
  EncodedRecord record = Encode(content, DType::kBF16, {300, 300}, Level::kBalanced);
  EXPECT_EQ(test::CodecOf(record.frames[0]), static_cast<uint8_t>(CodecId::kFloat));
}

TEST(ClassPlan, CodesNegativeZerosOfAPrunedTensorAsSigns) {
  Bytes content = Make(DType::kBF16, 300, 300, Pattern::kWeights);
  Random random(5);
  for (size_t i = 0; i < content.size(); i += 2) {
    if (random.OneIn(2)) continue;
    content[i] = std::byte{0};
    content[i + 1] &= std::byte{0x80};
  }
  EncodedRecord record = Encode(content, DType::kBF16, {300, 300}, Level::kBalanced);
  // Half of the words at 10.6 bits, a sign for the others and a bit of the mask for all.
  EXPECT_LT(SizeOf(record), content.size() * 44 / 100);
  ExpectRestores(record, content);
}

// Payloads whose checksums hold but whose content was made by an enemy.
class HostileClassFrame : public testing::Test {
 protected:
  ~HostileClassFrame() override { ForceIsa(std::nullopt); }

  static constexpr size_t kWords = 20000;
  static constexpr size_t kPayload = kFrameHeaderBytes;

  static EncodedRecord Sparse() {
    return Encode(Make(DType::kF32, 100, 200, Pattern::kSparse), DType::kF32, {100, 200});
  }

  Result<Bytes> Decode(const EncodedRecord& record, Bytes frame) {
    test::FixFrame(frame);
    CodecScratch scratch;
    Result<RecordHead> head = ParseRecordHead(record.plan.head_bytes);
    EXPECT_THAT(head, IsOk());
    return test::DecodeChunk(head.value(), 0, frame, test::EntryOf(frame), scratch);
  }
};

TEST_F(HostileClassFrame, IsRefusedWhereItsFieldsCannotBe) {
  EncodedRecord record = Sparse();
  const Bytes& sound = record.frames[0];
  ASSERT_EQ(test::CodecOf(sound), kClassCodec);
  ASSERT_THAT(Decode(record, sound), IsOk());
  struct Bad {
    const char* what;
    size_t offset;
    uint8_t value;
    ErrorCode code;
  };
  const Bad cases[] = {
      {"unknown flags", kPayload, 8, ErrorCode::kUnsupportedFeature},
      {"signs of zeros without zeros", kPayload, 4, ErrorCode::kCorrupt},
      {"reserved bytes", kPayload + 2, 1, ErrorCode::kUnsupportedFeature},
      {"more patches than bytes", kPayload + 7, 0x7F, ErrorCode::kTruncated},
  };
  for (const Bad& bad : cases) {
    Bytes frame = sound;
    frame[bad.offset] = static_cast<std::byte>(bad.value);
    EXPECT_THAT(Decode(record, frame), FailsWith(bad.code)) << bad.what;
  }
}

TEST_F(HostileClassFrame, IsRefusedWhereverItIsCut) {
  EncodedRecord record = Sparse();
  const Bytes& sound = record.frames[0];
  for (size_t size = kPayload; size < sound.size(); size += size < kPayload + 64 ? 1 : 97) {
    Bytes frame(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(Decode(record, frame).ok()) << size;
  }
}

TEST_F(HostileClassFrame, NeedsTablesOfItsOwnWhereTheRecordHasNone) {
  EncodedRecord record = Encode(Make(DType::kBF16, 100, 200, Pattern::kWeights), DType::kBF16, {100, 200});
  Bytes frame = record.frames[0];
  frame[kPayload] = std::byte{0};
  EncodedRecord plain =
      Encode(Make(DType::kBF16, 100, 200, Pattern::kWeights), DType::kBF16, {100, 200}, Level::kBalanced);
  EXPECT_THAT(Decode(plain, frame), FailsWith(ErrorCode::kCorrupt));
}

TEST_F(HostileClassFrame, IsRefusedInRecordsOfOtherTypes) {
  EncodedRecord record = Encode(Make(DType::kBF16, 100, 200, Pattern::kWeights), DType::kBF16, {100, 200});
  EncodedRecord integers = Encode(Make(DType::kI16, 100, 200, Pattern::kWeights), DType::kI16, {100, 200});
  EXPECT_THAT(Decode(integers, record.frames[0]), FailsWith(ErrorCode::kCorrupt));
}

TEST_F(HostileClassFrame, GetsTheSameVerdictOnEveryIsaHoweverItIsDamaged) {
  Random random(17);
  for (DType dtype : {DType::kBF16, DType::kF32, DType::kF8E4M3}) {
    for (Pattern pattern : {Pattern::kWeights, Pattern::kSparse}) {
      EncodedRecord record = Encode(Make(dtype, 100, 200, pattern), dtype, {100, 200});
      for (int round = 0; round < 300; ++round) {
        Bytes frame = record.frames[0];
        // Most damage near the front, where the fields are.
        size_t reach = random.OneIn(2) ? std::min<size_t>(frame.size() - kPayload, 200) : frame.size() - kPayload;
        for (int i = 0; i < 2; ++i) frame[kPayload + random.Below(reach)] = static_cast<std::byte>(random.Below(256));
        std::vector<bool> verdicts;
        for (Isa isa : SupportedIsas()) {
          ForceIsa(isa);
          verdicts.push_back(Decode(record, frame).ok());
        }
        for (bool verdict : verdicts) EXPECT_EQ(verdict, verdicts[0]);
      }
    }
  }
}

TEST(HostileClassHead, IsRefusedWhereItsSideInformationCannotBe) {
  EncodedRecord record = Encode(Make(DType::kBF16, 100, 200, Pattern::kWeights), DType::kBF16, {100, 200});
  const Bytes& sound = record.plan.head_bytes;
  ASSERT_EQ(sound[10], static_cast<std::byte>(TransformId::kClasses));
  struct Bad {
    const char* what;
    size_t offset;
    uint8_t value;
  };
  const Bad cases[] = {{"layout 0", 32, 0},
                       {"layout 5", 32, 5},
                       {"a layout of other words", 32, 3},
                       {"unknown modes", 33, 4},
                       {"too many contexts", 34, 5},
                       {"columns of 2^24", 39, 1},
                       {"no rows or columns", 33, 0},
                       {"another count of tables", 34, 1}};
  for (const Bad& bad : cases) {
    Bytes head = sound;
    head[bad.offset] = static_cast<std::byte>(bad.value);
    test::FixHead(head);
    EXPECT_FALSE(ParseRecordHead(head).ok()) << bad.what;
  }
  for (size_t size = 40; size < sound.size(); ++size) {
    Bytes head(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(size));
    test::FixHead(head);
    EXPECT_FALSE(ParseRecordHead(head).ok()) << size;
  }
}

}  // namespace
}  // namespace flyweight
