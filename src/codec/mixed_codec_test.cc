#include "codec/mixed_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/plane_coder.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
#include "support/float_bits.h"
#include "support/random.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;

constexpr DType kDTypes[] = {DType::kBF16,   DType::kF16,    DType::kF32,        DType::kC64,
                             DType::kF8E4M3, DType::kF8E5M2, DType::kF8E4M3FNUZ, DType::kF8E5M2FNUZ};

struct Encoded {
  RecordPlan plan;
  std::vector<Bytes> frames;
  size_t size = 0;
};

Encoded Encode(ByteSpan content, DType dtype, const Shape& shape, Level level, CodecScratch& scratch) {
  Encoded encoded;
  Result<RecordPlan> plan = PlanRecord(MemorySource(content), 0, content.size(), dtype, shape, level, scratch);
  EXPECT_THAT(plan, IsOk());
  encoded.plan = std::move(plan).value();
  encoded.size = encoded.plan.head_bytes.size();
  for (uint64_t i = 0; i < encoded.plan.head.chunk_count; ++i) {
    ByteSpan chunk = test::ChunkOf(encoded.plan.head, content, i);
    Bytes frame(FrameBound(chunk.size()));
    frame.resize(EncodeFrame(encoded.plan, i, chunk, frame, scratch).frame_bytes);
    encoded.size += frame.size() + kChunkEntryBytes;
    encoded.frames.push_back(std::move(frame));
  }
  return encoded;
}

size_t CountMixed(const Encoded& encoded) {
  size_t count = 0;
  for (const Bytes& frame : encoded.frames) count += test::CodecOf(frame) == static_cast<uint8_t>(CodecId::kMixed);
  return count;
}

void ExpectDecodes(const Encoded& encoded, ByteSpan content, CodecScratch& scratch) {
  Result<RecordHead> head = ParseRecordHead(encoded.plan.head_bytes);
  ASSERT_THAT(head, IsOk());
  for (uint64_t i = 0; i < encoded.frames.size(); ++i) {
    const Bytes& frame = encoded.frames[i];
    Result<Bytes> chunk = test::DecodeChunk(head.value(), i, frame, test::EntryOf(frame), scratch);
    ASSERT_THAT(chunk, IsOk()) << i;
    ByteSpan wanted = test::ChunkOf(head.value(), content, i);
    ASSERT_TRUE(std::equal(wanted.begin(), wanted.end(), chunk.value().begin(), chunk.value().end())) << i;
  }
}

Bytes Weights(DType dtype, size_t rows, size_t columns, Pattern pattern = Pattern::kWeights) {
  Random random(rows + columns);
  return test::MakeTensor(dtype, rows, columns, pattern, random);
}

// BF16 kernels whose taps follow each other.
Bytes Kernels(size_t count, size_t taps) {
  Random random(9);
  Bytes content;
  for (size_t k = 0; k < count; ++k) {
    double value = random.Gaussian();
    for (size_t t = 0; t < taps; ++t) {
      value = 0.8 * value + 0.6 * random.Gaussian();
      uint64_t word = test::EncodeFloat(test::kFormatBF16, 0.01 * value);
      content.push_back(static_cast<std::byte>(word & 255));
      content.push_back(static_cast<std::byte>(word >> 8));
    }
  }
  return content;
}

TEST(MixedCodec, EveryPatternOfEveryDTypeComesBack) {
  CodecScratch scratch;
  for (DType dtype : kDTypes) {
    for (Pattern pattern : test::kAllPatterns) {
      Bytes content = Weights(dtype, 21, 130, pattern);
      Encoded encoded = Encode(content, dtype, {21, 130}, Level::kMax, scratch);
      ExpectDecodes(encoded, content, scratch);
      // Small tensors have little to learn from, so that there another plan may be better by a little.
      EXPECT_LE(encoded.size, Encode(content, dtype, {21, 130}, Level::kBalanced, scratch).size * 104 / 100)
          << Describe(dtype).name << " " << test::PatternName(pattern);
    }
  }
}

TEST(MixedCodec, TakesWeightsAtTheHighestLevelOnly) {
  CodecScratch scratch;
  Bytes content = Kernels(300, 200);
  EXPECT_EQ(CountMixed(Encode(content, DType::kBF16, {300, 200}, Level::kMax, scratch)), 1U);
  for (Level level : {Level::kFast, Level::kBalanced, Level::kHigh})
    EXPECT_EQ(CountMixed(Encode(content, DType::kBF16, {300, 200}, level, scratch)), 0U);
}

TEST(MixedCodec, ChunksDecodeAloneWhereverInARowTheyStart) {
  CodecScratch scratch;
  Bytes content = Kernels(900, 611);
  Encoded encoded = Encode(content, DType::kBF16, {900, 611}, Level::kMax, scratch);
  ASSERT_EQ(encoded.frames.size(), 3U);
  const Bytes& second = encoded.frames[1];
  ASSERT_EQ(test::CodecOf(second), static_cast<uint8_t>(CodecId::kMixed));
  EXPECT_EQ(LoadLe<uint32_t>(second.data() + kFrameHeaderBytes + 6), 611U);
  EXPECT_EQ(LoadLe<uint32_t>(second.data() + kFrameHeaderBytes + 10), (1U << 18) % 611);
  CodecScratch other;
  for (size_t i : {size_t{2}, size_t{0}, size_t{1}}) {
    const Bytes& frame = encoded.frames[i];
    EXPECT_THAT(test::DecodeChunk(encoded.plan.head, i, frame, test::EntryOf(frame), other), IsOk());
  }
}

TEST(MixedCodec, ScratchThatWasUsedChangesNothing) {
  Bytes content = Weights(DType::kF32, 200, 100);
  CodecScratch fresh, used;
  Bytes other = Weights(DType::kBF16, 400, 300);
  Encode(other, DType::kBF16, {400, 300}, Level::kMax, used);
  EXPECT_EQ(Encode(content, DType::kF32, {200, 100}, Level::kMax, fresh).frames,
            Encode(content, DType::kF32, {200, 100}, Level::kMax, used).frames);
}

TEST(MixedCodec, KernelsOfConvolutionsAreReadTapByTap) {
  CodecScratch scratch;
  Bytes content = Kernels(1600, 25);
  Encoded encoded = Encode(content, DType::kBF16, {40, 40, 5, 5}, Level::kMax, scratch);
  EXPECT_TRUE(encoded.plan.head.side->hint_columns == 25 || encoded.plan.head.side->hint_columns == 1000)
      << encoded.plan.head.side->hint_columns;
  ExpectDecodes(encoded, content, scratch);
  Encoded balanced = Encode(content, DType::kBF16, {40, 40, 5, 5}, Level::kBalanced, scratch);
  EXPECT_LT(static_cast<double>(encoded.size), 0.97 * static_cast<double>(balanced.size));
}

TEST(MixedCodec, ShapesThatSuggestNothingAreEncodedToo) {
  CodecScratch scratch;
  for (const Shape& shape : {Shape{}, Shape{6000}, Shape{6000, 1}, Shape{1, 6000}, Shape{2, 3, 1, 1000, 1}}) {
    Bytes content = Weights(DType::kBF16, 1, 6000);
    ExpectDecodes(Encode(content, DType::kBF16, shape, Level::kMax, scratch), content, scratch);
  }
  for (const Shape& shape : {Shape{0}, Shape{0, 4, 4}, Shape{4, 0, 4}}) {
    EXPECT_EQ(Encode({}, DType::kBF16, shape, Level::kMax, scratch).frames.size(), 0U);
  }
  const uint64_t wide = kMaxMixedColumns + 1;
  Bytes content = Weights(DType::kF8E4M3, 2, wide);
  ExpectDecodes(Encode(content, DType::kF8E4M3, {2, wide}, Level::kMax, scratch), content, scratch);
}

// A payload of 2000 words, which the tests below break.
class BadMixedPayload : public testing::TestWithParam<DType> {
 protected:
  void SetUp() override {
    content_ = Weights(GetParam(), 40, 50);
    content_.resize(2000 * layout().word_bytes);
    payload_.resize(2 * content_.size());
    payload_.resize(EncodeMixedChunk(layout(), {50, 7}, content_, payload_, scratch_.impl()));
    ASSERT_GT(payload_.size(), 100U);
    ASSERT_THAT(Decode(payload_), IsOk());
  }

  static MixedLayout layout() { return *MixedLayoutOf(GetParam()); }

  Status Decode(const Bytes& payload) {
    Bytes exact = payload;
    exact.shrink_to_fit();
    Bytes chunk(content_.size());
    return DecodeMixedChunk(layout(), exact, chunk, scratch_.impl());
  }

  Bytes With(size_t offset, Bytes bytes) {
    Bytes payload = payload_;
    std::copy(bytes.begin(), bytes.end(), payload.begin() + static_cast<ptrdiff_t>(offset));
    return payload;
  }

  static Bytes U32(uint32_t value) {
    Bytes bytes(4);
    StoreLe(bytes.data(), value);
    return bytes;
  }

  CodecScratch scratch_;
  Bytes content_;
  Bytes payload_;
};

TEST_P(BadMixedPayload, FieldsOutOfBoundsAreCorrupt) {
  struct Case {
    const char* what;
    size_t offset;
    Bytes bytes;
  };
  const Case cases[] = {
      {"unknown flags", 0, {std::byte{2}}},
      {"all flags", 0, {std::byte{255}}},
      {"four modelled bits", 1, {std::byte{4}}},
      {"255 modelled bits", 1, {std::byte{255}}},
      {"reserved byte", 3, {std::byte{1}}},
      {"no columns", 6, U32(0)},
      {"columns over the limit", 6, U32(kMaxMixedColumns + 1)},
      {"as many columns as there are numbers", 6, U32(UINT32_MAX)},
      {"first column behind the row", 10, U32(50)},
      {"first column far behind the row", 10, U32(UINT32_MAX)},
      {"a stored plane of another size", 14, {std::byte{0}, std::byte{5}, std::byte{0}, std::byte{0}, std::byte{0}}},
      {"a plane over the payload", 15, U32(UINT32_MAX)},
  };
  for (const Case& bad : cases) {
    Status status = Decode(With(bad.offset, bad.bytes));
    ASSERT_FALSE(status.ok()) << bad.what;
    EXPECT_TRUE(status.error().code == ErrorCode::kCorrupt || status.error().code == ErrorCode::kTruncated) << bad.what;
  }
  EXPECT_THAT(Decode(With(14, {std::byte{200}})), FailsWith(ErrorCode::kUnsupportedFeature));
}

TEST_P(BadMixedPayload, OtherBitsAmongRawOnesAreCorrupt) {
  const MixedLayout info = layout();
  const int modelled_bits = std::min<int>(info.word.mantissa_bits, kMaxModelledMantissaBits);
  const int raw_bits = info.word.mantissa_bits - modelled_bits;
  Bytes payload(payload_.begin(), payload_.begin() + 14);
  payload[0] = std::byte{1};
  payload[1] = static_cast<std::byte>(modelled_bits);
  payload.push_back(std::byte{1});  // a constant plane
  payload.resize(19);
  payload[15] = std::byte{1};
  payload.push_back(static_cast<std::byte>(1 << raw_bits));
  for (int p = 0; p < info.low_planes; ++p) payload.insert(payload.end(), payload.begin() + 14, payload.begin() + 20);
  payload.resize(payload.size() + 5000);
  EXPECT_THAT(Decode(payload), FailsWith(ErrorCode::kCorrupt));
}

TEST_P(BadMixedPayload, PayloadsCutAnywhereAreErrors) {
  for (size_t size = 0; size < payload_.size(); size += 1 + payload_.size() / 400)
    EXPECT_FALSE(Decode(Bytes(payload_.begin(), payload_.begin() + static_cast<ptrdiff_t>(size))).ok()) << size;
}

TEST_P(BadMixedPayload, BytesBehindTheStreamAreCorrupt) {
  for (size_t more : {size_t{1}, size_t{3}, size_t{4}, size_t{8}, size_t{100}}) {
    Bytes payload = payload_;
    payload.resize(payload.size() + more);
    EXPECT_THAT(Decode(payload), FailsWith(ErrorCode::kCorrupt)) << more;
  }
}

TEST_P(BadMixedPayload, ChangedBytesGiveAnErrorOrWords) {
  Random random(17);
  for (int round = 0; round < 300; ++round) {
    Bytes payload = payload_;
    for (uint64_t changes = random.Between(1, 4); changes > 0; --changes) {
      size_t range = random.Below(2) == 0 ? 40 : payload.size();
      payload[random.Below(range)] ^= static_cast<std::byte>(1 + random.Below(255));
    }
    Status status = Decode(payload);
    EXPECT_TRUE(status.ok() || !status.error().message.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, BadMixedPayload,
                         testing::Values(DType::kBF16, DType::kF16, DType::kF32, DType::kF8E4M3, DType::kF8E5M2),
                         [](const auto& test) { return std::string(Describe(test.param).name); });

TEST(MixedCodec, FramesInRecordsWithoutFloatsAreCorrupt) {
  CodecScratch scratch;
  Bytes content(4096);
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 7 + i / 64);
  Encoded encoded = Encode(content, DType::kU16, {2048}, Level::kMax, scratch);
  Bytes frame = test::MakeFrame(static_cast<uint8_t>(CodecId::kMixed), Bytes(100), content);
  EXPECT_THAT(test::DecodeChunk(encoded.plan.head, 0, frame, test::EntryOf(frame), scratch),
              FailsWith(ErrorCode::kCorrupt));
}

}  // namespace
}  // namespace flyweight
