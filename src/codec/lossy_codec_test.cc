#include <gtest/gtest.h>

#include <bit>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/lossy_record.h"
#include "codec/plane_coder.h"
#include "lossy/error_sums.h"
#include "lossy/quantise.h"
#include "simd/isa.h"
#include "support/weights.h"

namespace flyweight::test {
namespace {

const LossyChoice kF16{LossyMethod::kF16, 16, false, 0};
const LossyChoice kBF16{LossyMethod::kBF16, 16, false, 0};
const LossyChoice kInt8{LossyMethod::kBlocks, 8, false, 64};
const LossyChoice kInt4Min{LossyMethod::kBlocks, 4, true, 32};
const LossyChoice kChoices[] = {kF16, kBF16, kInt8, kInt4Min};

struct LossyRecord {
  EncodedRecord record;
  Bytes restored;
};

LossyRecord Encode(ByteSpan content, DType dtype, const Shape& shape, const LossyChoice& choice) {
  CodecScratch scratch;
  LossyRecord result;
  auto plan = PlanLossyRecord(MemorySource(content), 0, content.size(), dtype, shape, choice, scratch);
  EXPECT_THAT(plan, IsOk());
  if (!plan.ok()) return result;
  result.record.plan = std::move(plan).value();
  const RecordHead& head = result.record.plan.head;
  result.restored.resize(content.size());
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    ByteSpan chunk = ChunkOf(head, content, i);
    Bytes frame(FrameBound(chunk.size()));
    MutableByteSpan restored = MutableByteSpan(result.restored).subspan(i * head.chunk_bytes, chunk.size());
    result.record.table.push_back(EncodeLossyFrame(result.record.plan, i, chunk, frame, restored, scratch));
    frame.resize(result.record.table.back().frame_bytes);
    result.record.frames.push_back(std::move(frame));
  }
  return result;
}

TEST(LossyRecord, GivesWhatItSaidItWould) {
  CodecScratch scratch;
  Random random(1);
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    for (auto [rows, columns] : {std::pair{1, 1}, {1, 17}, {20, 64}, {100, 333}, {600, 500}}) {
      Bytes content =
          MakeTensor(dtype, static_cast<size_t>(rows), static_cast<size_t>(columns), Pattern::kWeights, random);
      Shape shape = {static_cast<uint64_t>(rows), static_cast<uint64_t>(columns)};
      for (const LossyChoice& choice : kChoices) {
        if (!CanBeLossy(dtype, choice.method)) continue;
        LossyRecord lossy = Encode(content, dtype, shape, choice);
        auto decoded = DecodeRecord(lossy.record, scratch);
        ASSERT_THAT(decoded, IsOk()) << NameOf(choice);
        EXPECT_EQ(decoded.value(), lossy.restored);
        Bytes expected(content.size());
        RestoreChunk(choice, dtype, content, expected);
        EXPECT_EQ(lossy.restored, expected) << NameOf(choice);
        EXPECT_TRUE(KeepsPromise(choice, dtype, content, decoded.value()));
        EXPECT_EQ(LossyChoiceOf(ParseRecordHead(lossy.record.plan.head_bytes).value()), choice);
      }
    }
  }
}

TEST(LossyRecord, HalvesTakeEveryPattern) {
  CodecScratch scratch;
  Random random(2);
  for (Pattern pattern : kAllPatterns) {
    Bytes content = MakeTensor(DType::kF32, 90, 201, pattern, random);
    for (const LossyChoice& choice : {kF16, kBF16}) {
      LossyRecord lossy = Encode(content, DType::kF32, {90, 201}, choice);
      auto decoded = DecodeRecord(lossy.record, scratch);
      ASSERT_THAT(decoded, IsOk()) << PatternName(pattern);
      EXPECT_EQ(decoded.value(), lossy.restored) << PatternName(pattern);
    }
  }
}

TEST(LossyRecord, IsTheSameOnEveryInstructionSetAndSmall) {
  Random random(3);
  Bytes content = MakeTensor(DType::kF32, 600, 512, Pattern::kWeights, random);
  for (const LossyChoice& choice : kChoices) {
    ASSERT_TRUE(ForceIsa(Isa::kScalar));
    LossyRecord expected = Encode(content, DType::kF32, {600, 512}, choice);
    size_t size = 0;
    for (const Bytes& frame : expected.record.frames) size += frame.size();
    EXPECT_LT(size * 32, content.size() * (choice.bits + (choice.block == 0 ? 0u : 1u))) << NameOf(choice);
    for (Isa isa : SupportedIsas()) {
      ASSERT_TRUE(ForceIsa(isa));
      LossyRecord lossy = Encode(content, DType::kF32, {600, 512}, choice);
      EXPECT_EQ(lossy.record.frames, expected.record.frames) << NameOf(choice) << " " << IsaName(isa);
      EXPECT_EQ(lossy.record.plan.head_bytes, expected.record.plan.head_bytes);
    }
    ForceIsa(std::nullopt);
  }
}

TEST(LossyRecord, IsRefusedWhereTheMethodDoesNotFit) {
  CodecScratch scratch;
  Bytes content(512);
  for (DType dtype : {DType::kU8, DType::kI32, DType::kC64, DType::kF8E4M3, DType::kOpaque}) {
    for (const LossyChoice& choice : kChoices)
      EXPECT_THAT(PlanLossyRecord(MemorySource(content), 0, content.size(), dtype, {}, choice, scratch),
                  FailsWith(ErrorCode::kInvalidArgument));
  }
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    EXPECT_THAT(PlanLossyRecord(MemorySource(content), 0, content.size(), dtype, {}, kF16, scratch),
                FailsWith(ErrorCode::kInvalidArgument));
    EXPECT_THAT(PlanLossyRecord(MemorySource(content), 0, content.size(), dtype, {}, kBF16, scratch),
                FailsWith(ErrorCode::kInvalidArgument));
  }
  EXPECT_THAT(PlanLossyRecord(MemorySource(content), 0, 510, DType::kF32, {}, kInt8, scratch),
              FailsWith(ErrorCode::kInvalidArgument));
}

class HostileLossyHead : public ::testing::Test {
 protected:
  HostileLossyHead() {
    Random random(4);
    content = MakeTensor(DType::kF32, 100, 64, Pattern::kWeights, random);
  }
  Bytes HeadOf(const LossyChoice& choice) {
    return Encode(content, DType::kF32, {100, 64}, choice).record.plan.head_bytes;
  }
  Bytes content;
};

TEST_F(HostileLossyHead, EveryImpossibleFieldIsRefused) {
  struct Case {
    LossyChoice choice;
    size_t offset;
    uint8_t value;
  };
  const Case kCases[] = {
      {kInt8, 8, 6},    // dtype U32
      {kF16, 8, 11},    // dtype BF16
      {kInt8, 12, 33},  // chunks that are not whole blocks
      {kInt8, 32, 0},   // method
      {kInt8, 32, 4},   //
      {kInt8, 32, 1},   // halves with a block
      {kInt8, 33, 1},   // bits
      {kInt8, 33, 9},   //
      {kF16, 33, 15},   //
      {kInt8, 34, 2},   // float fields of blocks
      {kInt8, 34, 4},   // unknown flag
      {kF16, 34, 3},    // halves with a minimum
      {kF16, 34, 0},    // float fields that are not announced
      {kInt8, 35, 1},   // reserved
      {kInt8, 36, 48},  // block
      {kInt8, 36, 8},   //
      {kInt8, 37, 32},  //
      {kF16, 36, 64},   //
      {kF16, 40, 1},    // layout of BF16
      {kBF16, 40, 2},   // layout of F16
      {kF16, 40, 3},    // layout of F32
      {kInt8, 10, 1},   // another transform
      {kInt8, 10, 0},   //
      {kInt8, 10, 3},   //
  };
  for (const Case& broken : kCases) {
    Bytes head = HeadOf(broken.choice);
    ASSERT_THAT(ParseRecordHead(head), IsOk());
    head[broken.offset] = static_cast<std::byte>(broken.value);
    FixHead(head);
    EXPECT_FALSE(ParseRecordHead(head).ok()) << NameOf(broken.choice) << " offset " << broken.offset;
  }
  for (const LossyChoice& choice : kChoices) {
    Bytes whole = HeadOf(choice);
    for (size_t size = 40; size < whole.size(); ++size) {
      Bytes head(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      FixHead(head);
      EXPECT_FALSE(ParseRecordHead(head).ok()) << NameOf(choice) << " cut to " << size;
    }
    Bytes head = whole;
    head.resize(whole.size() + 1);
    FixHead(head);
    EXPECT_FALSE(ParseRecordHead(head).ok());
  }
}

/// Decodes a payload that no encoder made, in the place of a record's first chunk.
Status DecodePayload(const EncodedRecord& record, uint8_t codec, ByteSpan payload, ByteSpan decoded) {
  CodecScratch scratch;
  Bytes frame = MakeFrame(codec, payload, decoded);
  auto chunk = DecodeChunk(record.plan.head, 0, frame, EntryOf(frame), scratch);
  return chunk.ok() ? Status::Ok() : Status(chunk.error());
}

TEST(HostileLossyPayload, CodecsStandInTheirOwnRecordsOnly) {
  Random random(5);
  Bytes content = MakeTensor(DType::kF32, 100, 64, Pattern::kWeights, random);
  for (const LossyChoice& choice : kChoices) {
    LossyRecord lossy = Encode(content, DType::kF32, {100, 64}, choice);
    const Bytes& frame = lossy.record.frames[0];
    ByteSpan payload = ByteSpan(frame).subspan(kFrameHeaderBytes);
    EXPECT_THAT(DecodePayload(lossy.record, CodecOf(frame), payload, lossy.restored), IsOk());
    for (unsigned codec = 0; codec < 256; ++codec) {
      if (codec == CodecOf(frame)) continue;
      EXPECT_FALSE(DecodePayload(lossy.record, static_cast<uint8_t>(codec), payload, lossy.restored).ok()) << codec;
    }
  }
  CodecScratch scratch;
  auto lossless = EncodeRecord(content, DType::kF32, {100, 64}, scratch);
  ASSERT_THAT(lossless, IsOk());
  for (int codec : {128, 129, 130, 131, 132, 136})
    EXPECT_FALSE(DecodePayload(lossless.value(), static_cast<uint8_t>(codec), content, content).ok());
}

TEST(HostileLossyPayload, CodesAndScalesAreChecked) {
  Bytes content(4 * 64);
  for (size_t i = 0; i < 64; ++i) StoreLe(content.data() + 4 * i, static_cast<float>(i) - 20);
  LossyRecord lossy = Encode(content, DType::kF32, {1, 64}, {LossyMethod::kBlocks, 4, false, 64});
  auto payload_of = [](uint8_t code, uint16_t scale, size_t more) {
    ByteWriter payload;
    payload.Write(static_cast<uint8_t>(PlaneMethod::kConstant));
    payload.Write(uint32_t{1});
    payload.Write(code);
    auto rotated = static_cast<uint16_t>(scale << 1 | scale >> 15);
    for (int p = 0; p < 2; ++p) {
      payload.Write(static_cast<uint8_t>(PlaneMethod::kStored));
      payload.Write(uint32_t{1});
      payload.Write(static_cast<uint8_t>(rotated >> (8 * p)));
    }
    for (size_t i = 0; i < more; ++i) payload.Write(uint8_t{0});
    return payload.Release();
  };
  Bytes expected(content.size());
  for (size_t i = 0; i < 64; ++i) StoreLe(expected.data() + 4 * i, 7.0F);
  EXPECT_THAT(DecodePayload(lossy.record, 136, payload_of(14, 0x3F80, 0), expected), IsOk());
  for (const Bytes& broken : {payload_of(15, 0x3F80, 0), payload_of(255, 0x3F80, 0), payload_of(14, 0xBF80, 0),
                              payload_of(14, 0x7F80, 0), payload_of(14, 0x7FC0, 0), payload_of(14, 0x3F80, 1)}) {
    EXPECT_THAT(DecodePayload(lossy.record, 136, broken, expected), FailsWith(ErrorCode::kCorrupt));
  }
  Bytes whole = payload_of(14, 0x3F80, 0);
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(DecodePayload(lossy.record, 136, ByteSpan(whole).first(size), expected).ok());
}

TEST(HostileLossyPayload, AnyFlippedBitIsNoticed) {
  Random random(6);
  CodecScratch scratch;
  Bytes content = MakeTensor(DType::kF32, 64, 80, Pattern::kWeights, random);
  for (const LossyChoice& choice : kChoices) {
    LossyRecord lossy = Encode(content, DType::kF32, {64, 80}, choice);
    Bytes frame = lossy.record.frames[0];
    for (int round = 0; round < 400; ++round) {
      size_t bit = random.Below(frame.size() * 8);
      frame[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      EXPECT_FALSE(
          DecodeChunk(lossy.record.plan.head, 0, frame, lossy.record.table[0], scratch, StoredCheck::kAlways).ok());
      // Where the checksum of the encoded bytes is made right, that of the decoded ones is left: what it lets pass is
      // what went in.
      Bytes fixed = frame;
      if (bit >= kFrameHeaderBytes * 8) {
        FixFrame(fixed);
        auto decoded = DecodeChunk(lossy.record.plan.head, 0, fixed, lossy.record.table[0], scratch);
        if (decoded.ok()) {
          EXPECT_EQ(decoded.value(), lossy.restored);
        }
      }
      frame[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
  }
}

}  // namespace
}  // namespace flyweight::test
