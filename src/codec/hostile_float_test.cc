#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "simd/isa.h"
#include "support/float_bits.h"
#include "support/random.h"
#include "support/weights.h"

// Float payloads whose checksums hold but whose content was made by an enemy: each gives an error or the very bytes,
// and the same verdict on every ISA. Meant to be run under AddressSanitizer too.

namespace flyweight {
namespace {

using test::Bytes;
using test::EncodedRecord;
using test::EntryOf;
using test::FailsWith;
using test::FixFrame;
using test::IsOk;
using test::Pattern;
using test::Random;

constexpr size_t kPayload = kFrameHeaderBytes;
constexpr size_t kPatchBytes = kPayload + 4;
constexpr size_t kStreamBytes[] = {kPayload + 8, kPayload + 12};
constexpr size_t kStates = kPayload + 16;
constexpr size_t kPlainWords = 17000;
constexpr size_t kTailWords = kPlainWords % 512;

class HostileFloatFrame : public testing::TestWithParam<DType> {
 protected:
  ~HostileFloatFrame() override { ForceIsa(std::nullopt); }

  static Bytes Content(Pattern pattern, size_t rows, size_t columns) {
    Random random(11);
    return test::MakeTensor(GetParam(), rows, columns, pattern, random);
  }

  static EncodedRecord Encode(const Bytes& content, const Shape& shape) {
    CodecScratch scratch;
    Result<EncodedRecord> record = test::EncodeRecord(content, GetParam(), shape, scratch);
    EXPECT_THAT(record, IsOk());
    EXPECT_EQ(test::CodecOf(record.value().frames[0]), static_cast<uint8_t>(CodecId::kFloat));
    return std::move(record).value();
  }

  static size_t word_bytes() { return GetParam() == DType::kBF16 || GetParam() == DType::kF16 ? 2 : 4; }
  static size_t head_bytes() { return GetParam() == DType::kF16 ? 1 : 2; }

  // Words with four exponents: a record of them has no re-centring, no patches and no table of its own, so the offsets
  // above hold.
  static Bytes PlainContent() {
    test::FloatFormat format = *test::FloatFormatOf(GetParam());
    Random random(13);
    Bytes content(kPlainWords * word_bytes());
    for (size_t i = 0; i < kPlainWords; ++i) {
      uint64_t word = (random.Bits() & ~format.exponent_mask()) | (8 + random.Below(4)) << format.mantissa_bits;
      std::memcpy(content.data() + i * word_bytes(), &word, word_bytes());
    }
    return content;
  }
  static EncodedRecord PlainRecord() {
    EncodedRecord record = Encode(PlainContent(), {});
    EXPECT_EQ(Load(record.frames[0], kPayload), 0U) << "a table of its own";
    EXPECT_EQ(Load(record.frames[0], kPatchBytes), 0U);
    return record;
  }

  static uint32_t Load(const Bytes& frame, size_t offset) { return LoadLe<uint32_t>(frame.data() + offset); }
  static void Add(Bytes& frame, size_t offset, int64_t difference) {
    StoreLe(frame.data() + offset, static_cast<uint32_t>(Load(frame, offset) + difference));
  }

  // The verdict on a frame whose checksum is put right.
  static Result<Bytes> Verdict(const EncodedRecord& record, Bytes frame) {
    FixFrame(frame);
    CodecScratch scratch;
    return test::DecodeChunk(record.plan.head, 0, frame,
                             {static_cast<uint32_t>(frame.size()), EntryOf(frame).decoded_xxh3}, scratch);
  }

  static void ExpectRefusedOnEveryIsa(const EncodedRecord& record, const Bytes& frame) {
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      EXPECT_THAT(Verdict(record, frame), FailsWith(ErrorCode::kCorrupt)) << IsaName(isa);
    }
  }
};

TEST_P(HostileFloatFrame, WithAStreamOneByteShortIsRefused) {
  EncodedRecord record = PlainRecord();
  // The boundary of the streams moves one byte down or up.
  for (int64_t difference : {-1, 1}) {
    Bytes frame = record.frames[0];
    Add(frame, kStreamBytes[0], difference);
    Add(frame, kStreamBytes[1], -difference);
    ExpectRefusedOnEveryIsa(record, frame);
  }
}

// The last bytes of stream 1 are declared to be the first of the tail. They still lie where the stream reads on, so all
// coded words come out right, and the checksum is made to fit the tail.
TEST_P(HostileFloatFrame, WhoseStreamRunsIntoTheTailIsRefused) {
  EncodedRecord record = PlainRecord();
  Bytes frame = record.frames[0], content = PlainContent();
  size_t rest_bytes = kPlainWords / 512 * (head_bytes() == 1 ? 128 : 448) - 128;
  size_t stream_end = kStates + 256 + rest_bytes + Load(frame, kStreamBytes[0]) + Load(frame, kStreamBytes[1]);
  Bytes heads(frame.begin() + static_cast<ptrdiff_t>(stream_end - head_bytes()),
              frame.begin() + static_cast<ptrdiff_t>(stream_end + (kTailWords - 1) * head_bytes()));
  for (size_t i = 0; i < kTailWords; ++i) {
    size_t word_end = (kPlainWords - kTailWords + i + 1) * word_bytes();
    std::memcpy(content.data() + word_end - head_bytes(), heads.data() + i * head_bytes(), head_bytes());
  }
  auto tail_end = frame.begin() + static_cast<ptrdiff_t>(stream_end + kTailWords * head_bytes());
  frame.erase(tail_end - static_cast<ptrdiff_t>(head_bytes()), tail_end);
  Add(frame, kStreamBytes[1], -static_cast<int64_t>(head_bytes()));
  StoreLe(frame.data() + 8, Xxh3(content));
  ExpectRefusedOnEveryIsa(record, frame);
}

TEST_P(HostileFloatFrame, WithOtherStatesIsRefused) {
  EncodedRecord record = PlainRecord();
  for (size_t offset : {kStates + 64, kStates + 64 + 63, kStates + 192}) {
    Bytes frame = record.frames[0];
    frame[offset] ^= std::byte{0x80};
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      EXPECT_THAT(Verdict(record, frame), testing::Not(IsOk())) << IsaName(isa);
    }
  }
}

TEST_P(HostileFloatFrame, WithUnknownFlagsIsRefused) {
  EncodedRecord record = PlainRecord();
  for (size_t offset = kPayload; offset < kPayload + 4; ++offset) {
    Bytes frame = record.frames[0];
    frame[offset] = std::byte{2};
    EXPECT_THAT(Verdict(record, frame), FailsWith(ErrorCode::kUnsupportedFeature)) << offset;
  }
}

TEST_P(HostileFloatFrame, WithBytesLeftOverIsRefused) {
  EncodedRecord record = PlainRecord();
  record.frames[0].push_back(std::byte{0});
  ExpectRefusedOnEveryIsa(record, record.frames[0]);
}

TEST_P(HostileFloatFrame, WithSizesNearFourGiBIsRefused) {
  EncodedRecord record = PlainRecord();
  for (size_t field : {kPatchBytes, kStreamBytes[0], kStreamBytes[1]}) {
    for (uint32_t size : {UINT32_MAX, UINT32_MAX / 2, 1U << 31}) {
      Bytes frame = record.frames[0];
      StoreLe(frame.data() + field, size);
      EXPECT_THAT(Verdict(record, frame), FailsWith(ErrorCode::kTruncated));
    }
  }
}

TEST_P(HostileFloatFrame, CutOffAnywhereIsRefused) {
  EncodedRecord record = PlainRecord();
  for (size_t size = kPayload; size < record.frames[0].size(); size += size < 400 ? 1 : 197) {
    Bytes frame(record.frames[0].begin(), record.frames[0].begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(Verdict(record, frame), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

TEST_P(HostileFloatFrame, ChangedAtRandomGivesOneVerdictOnEveryIsa) {
  Bytes content = Content(Pattern::kPlainGaussian, 140, 131);
  EncodedRecord record = Encode(content, {140, 131});
  Random random(12);
  for (int trial = 0; trial < 400; ++trial) {
    Bytes frame = record.frames[0];
    for (uint64_t changes = random.Between(1, 3); changes > 0; --changes) {
      size_t limit = random.OneIn(2) ? std::min<size_t>(frame.size(), kStates + 300) : frame.size();
      frame[random.Between(kPayload, limit - 1)] ^= static_cast<std::byte>(random.Between(1, 255));
    }
    ForceIsa(Isa::kScalar);
    Result<Bytes> reference = Verdict(record, frame);
    if (reference.ok()) {
      EXPECT_TRUE(reference.value() == content);
    }
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      Result<Bytes> verdict = Verdict(record, frame);
      ASSERT_EQ(verdict.ok(), reference.ok()) << trial << " " << IsaName(isa);
      if (verdict.ok()) continue;
      ASSERT_EQ(verdict.error().message, reference.error().message) << trial << " " << IsaName(isa);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EachLayout, HostileFloatFrame,
                         testing::Values(DType::kBF16, DType::kF16, DType::kF32, DType::kC64),
                         [](const auto& each) { return std::string(Describe(each.param).name); });

}  // namespace
}  // namespace flyweight
