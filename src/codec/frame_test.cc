#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "support/random.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::CodecOf;
using test::EncodedRecord;
using test::EntryOf;
using test::FailsWith;
using test::FixFrame;
using test::IsOk;
using test::Pattern;
using test::Random;
using testing::HasSubstr;
using testing::Not;

// A small record with the codec that its content asks for.
struct Content {
  std::string name;
  CodecId codec;
  DType dtype;
  Bytes bytes;
};

std::vector<Content> Contents() {
  Random random(4);
  Bytes repeated;
  for (Bytes text = random.Bytes(100); repeated.size() < 800;)
    repeated.insert(repeated.end(), text.begin(), text.end());
  return {
      {"Stored", CodecId::kStored, DType::kU8, random.Bytes(77)},
      {"Constant", CodecId::kConstant, DType::kF32, Bytes(400, std::byte{0x3F})},
      {"Zstd", CodecId::kZstd, DType::kU8, repeated},
      {"Planes", CodecId::kPlanes, DType::kF64, test::MakeTensor(DType::kF64, 1, 200, Pattern::kWeights, random)},
      {"Float", CodecId::kFloat, DType::kBF16, test::MakeTensor(DType::kBF16, 40, 520, Pattern::kWeights, random)},
  };
}

EncodedRecord Encode(const Content& content) {
  CodecScratch scratch;
  Result<EncodedRecord> record = test::EncodeRecord(content.bytes, content.dtype, {}, scratch);
  EXPECT_THAT(record, IsOk());
  return std::move(record).value();
}

Result<Bytes> Decode(const EncodedRecord& record, const Bytes& frame, const ChunkEntry& entry,
                     StoredCheck stored_check = StoredCheck::kOnFailure) {
  CodecScratch scratch;
  return test::DecodeChunk(record.plan.head, 0, frame, entry, scratch, stored_check);
}

class Frame : public testing::TestWithParam<Content> {
 protected:
  EncodedRecord record_ = Encode(GetParam());
  const Bytes& frame() const { return record_.frames[0]; }
  const ChunkEntry& entry() const { return record_.table[0]; }
};

TEST_P(Frame, HoldsTheExpectedCodecAndComesBack) {
  EXPECT_EQ(CodecOf(frame()), static_cast<uint8_t>(GetParam().codec));
  EXPECT_LE(frame().size(), kFrameHeaderBytes + GetParam().bytes.size());
  Result<Bytes> decoded = Decode(record_, frame(), entry());
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == GetParam().bytes);
  EXPECT_THAT(ScrubFrame(frame(), entry()), IsOk());
}

TEST_P(Frame, IsRefusedWithAnyBitFlipped) {
  size_t step = frame().size() < 1000 ? 1 : 7;  // coprime to 8, so that every bit of a byte has its turn
  for (size_t bit = 0; bit < 8 * frame().size(); bit += bit < 8 * kFrameHeaderBytes ? 1 : step) {
    Bytes flipped = frame();
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    ASSERT_THAT(ScrubFrame(flipped, entry()), Not(IsOk())) << bit;
    ASSERT_THAT(Decode(record_, flipped, entry(), StoredCheck::kAlways), Not(IsOk())) << bit;
  }
}

TEST_P(Frame, WithAnyBitFlippedIsDamagedOrHoldsTheSame) {
  size_t step = frame().size() < 1000 ? 1 : 7;
  for (size_t bit = 0; bit < 8 * frame().size(); bit += step) {
    Bytes flipped = frame();
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    Result<Bytes> decoded = Decode(record_, flipped, entry());
    if (decoded.ok()) {
      ASSERT_TRUE(decoded.value() == GetParam().bytes) << bit;
    } else if (bit >= 8 * sizeof(uint32_t)) {  // before lies the size, which is checked first
      ASSERT_THAT(decoded, FailsWith(ErrorCode::kChecksumMismatch)) << bit;
      ASSERT_THAT(decoded.error().message, HasSubstr("stored bytes are damaged")) << bit;
    }
  }
}

TEST_P(Frame, IsDecodedWithoutItsStoredChecksumUnlessAskedTo) {
  Bytes flipped = frame();
  flipped[16] ^= std::byte{1};
  EXPECT_THAT(Decode(record_, flipped, entry()), IsOk());
  EXPECT_THAT(Decode(record_, flipped, entry(), StoredCheck::kAlways), FailsWith(ErrorCode::kChecksumMismatch));
}

TEST_P(Frame, IsRefusedWhenCutOffAnywhereOrTooLong) {
  for (size_t size = 0; size < frame().size(); ++size) {
    Bytes cut(frame().begin(), frame().begin() + static_cast<ptrdiff_t>(size));
    ASSERT_THAT(Decode(record_, cut, entry()), Not(IsOk())) << size;
    ASSERT_THAT(ScrubFrame(cut, entry()), Not(IsOk())) << size;
  }
  Bytes longer = frame();
  longer.push_back(std::byte{0});
  EXPECT_THAT(Decode(record_, longer, entry()), FailsWith(ErrorCode::kCorrupt));
}

TEST_P(Frame, IsRefusedUnderAnotherEntry) {
  ChunkEntry other_hash = entry(), other_size = entry();
  other_hash.decoded_xxh3 ^= 1;
  other_size.frame_bytes += 1;
  for (const ChunkEntry& other : {other_hash, other_size}) {
    EXPECT_THAT(Decode(record_, frame(), other), FailsWith(ErrorCode::kCorrupt));
    EXPECT_THAT(ScrubFrame(frame(), other), FailsWith(ErrorCode::kCorrupt));
  }
}

TEST_P(Frame, IsRefusedWhereItDecodesToOtherBytesThanItSays) {
  Bytes frame = this->frame();
  frame[8] ^= std::byte{1};
  FixFrame(frame);
  EXPECT_THAT(ScrubFrame(frame, EntryOf(frame)), IsOk()) << "scrubbing does not decode";
  EXPECT_THAT(Decode(record_, frame, EntryOf(frame)), FailsWith(ErrorCode::kChecksumMismatch));
}

TEST_P(Frame, IsRefusedWithReservedBytesInUse) {
  for (size_t i = 5; i < 8; ++i) {
    Bytes frame = this->frame();
    frame[i] = std::byte{1};
    FixFrame(frame);
    EXPECT_THAT(Decode(record_, frame, EntryOf(frame)), FailsWith(ErrorCode::kUnsupportedFeature));
    EXPECT_THAT(ScrubFrame(frame, EntryOf(frame)), FailsWith(ErrorCode::kUnsupportedFeature));
  }
}

TEST_P(Frame, IsRefusedWithAnUnknownCodec) {
  for (uint8_t codec : {uint8_t{13}, uint8_t{64}, uint8_t{128}, uint8_t{255}}) {
    Bytes frame = this->frame();
    frame[4] = static_cast<std::byte>(codec);
    FixFrame(frame);
    EXPECT_THAT(Decode(record_, frame, EntryOf(frame)), FailsWith(ErrorCode::kUnsupportedFeature));
  }
}

TEST_P(Frame, IsRefusedUnderEveryOtherCodec) {
  for (uint8_t codec = 0; codec < 5; ++codec) {
    if (codec == CodecOf(this->frame())) continue;
    Bytes frame = this->frame();
    frame[4] = static_cast<std::byte>(codec);
    FixFrame(frame);
    EXPECT_THAT(Decode(record_, frame, EntryOf(frame)), Not(IsOk())) << int{codec};
  }
}

TEST_P(Frame, ReadsNothingFromWhatLiesBehindIt) {
  Random random(6);
  for (uint64_t trial = 0; trial < 4; ++trial) {
    Bytes padded = frame();
    Bytes following = random.Bytes(kDecodePaddingBytes);
    padded.insert(padded.end(), following.begin(), following.end());
    padded.shrink_to_fit();
    CodecScratch scratch;
    Bytes chunk(GetParam().bytes.size());
    ASSERT_THAT(DecodeFrame(record_.plan.head, 0, ByteSpan(padded).first(frame().size()), padded.size(), entry(), chunk,
                            scratch),
                IsOk());
    EXPECT_TRUE(chunk == GetParam().bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(EachCodec, Frame, testing::ValuesIn(Contents()),
                         [](const auto& each) { return each.param.name; });

TEST(EncodeFrame, NeverMixesUpChunksOfARecord) {
  Random random(7);
  Bytes content = random.Bytes(3 << 20);
  CodecScratch scratch;
  Result<EncodedRecord> record = test::EncodeRecord(content, DType::kOpaque, {}, scratch);
  ASSERT_THAT(record, IsOk());
  ASSERT_EQ(record.value().frames.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      Result<Bytes> decoded =
          test::DecodeChunk(record.value().plan.head, i, record.value().frames[j], record.value().table[i], scratch);
      EXPECT_EQ(decoded.ok(), i == j);
    }
  }
}

TEST(EncodeFrame, GivesTheSameBytesWhateverTheScratchWasUsedForBefore) {
  CodecScratch used;
  for (const Content& content : Contents()) {
    for (const Content& other : Contents()) {
      ASSERT_THAT(test::EncodeRecord(other.bytes, other.dtype, {}, used), IsOk());
      EXPECT_TRUE(test::EncodeRecord(content.bytes, content.dtype, {}, used).value().frames == Encode(content).frames)
          << content.name << " after " << other.name;
    }
  }
}

TEST(DecodeFrame, RefusesFloatFramesInARecordWithoutFloatFields) {
  EncodedRecord floats = Encode(Contents()[4]);
  Bytes content = Contents()[4].bytes;
  CodecScratch scratch;
  RecordPlan plain =
      PlanRecord(MemorySource(content), 0, content.size(), DType::kU16, {}, Level::kBalanced, scratch).value();
  EXPECT_THAT(test::DecodeChunk(plain.head, 0, floats.frames[0], floats.table[0], scratch),
              FailsWith(ErrorCode::kCorrupt));
}

TEST(DecodeFrame, TakesAStoredOrConstantChunkOfTheRightSizeOnly) {
  Bytes content(400, std::byte{9});
  EncodedRecord record = Encode({"", CodecId::kConstant, DType::kF32, content});
  struct {
    uint8_t codec;
    size_t payload_bytes;
    bool sound;
  } cases[] = {{0, 400, true}, {0, 399, false}, {0, 401, false}, {0, 0, false},
               {1, 4, true},   {1, 3, false},   {1, 8, false},   {1, 0, false}};
  for (const auto& each : cases) {
    Bytes frame = test::MakeFrame(each.codec, Bytes(each.payload_bytes, std::byte{9}), content);
    EXPECT_EQ(Decode(record, frame, EntryOf(frame)).ok(), each.sound) << int{each.codec} << " " << each.payload_bytes;
  }
}

}  // namespace
}  // namespace flyweight
