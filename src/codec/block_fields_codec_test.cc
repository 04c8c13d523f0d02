#include "codec/block_fields_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
#include "support/block_weights.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::IsOk;

const BlockLayout& BlockLayoutOf(DType dtype) { return *FindBlockLayout(dtype); }

std::vector<DType> BlockTypes() {
  std::vector<DType> types;
  for (uint16_t number = kGgmlDTypeBase; number < 256; ++number) {
    if (FindBlockLayout(static_cast<DType>(number)) != nullptr) types.push_back(static_cast<DType>(number));
  }
  return types;
}

std::string NameOf(DType dtype) { return std::string(Describe(dtype).name); }

Bytes SkewedBlocks(DType dtype, size_t block_count, uint64_t seed) {
  test::Random random(seed);
  return test::MakeSkewedBlocks(BlockLayoutOf(dtype), block_count, random);
}

Bytes WeightBlocks(size_t block_count, bool rounded = true) {
  test::Random random(7);
  return test::MakeQ41(block_count, rounded, random);
}

Bytes Encode(DType dtype, uint64_t chunk_offset, const Bytes& chunk) {
  CodecScratch scratch;
  Bytes payload(2 * chunk.size() + 100);
  payload.resize(EncodeBlockFieldsChunk(BlockLayoutOf(dtype), chunk_offset, chunk, payload, scratch.impl()));
  return payload;
}

Result<Bytes> Decode(DType dtype, uint64_t chunk_offset, const Bytes& payload, size_t chunk_bytes) {
  CodecScratch scratch;
  Bytes chunk(chunk_bytes), padded = payload;
  padded.resize(payload.size() + kDecodePaddingBytes);
  FLYWEIGHT_TRY(DecodeBlockFieldsChunk(BlockLayoutOf(dtype), chunk_offset, ByteSpan(padded).first(payload.size()),
                                       chunk, scratch.impl()));
  return chunk;
}

TEST(BlockFieldsCodec, RoundTripsEveryTypeAtEveryPhase) {
  for (DType dtype : BlockTypes()) {
    size_t block_bytes = BlockLayoutOf(dtype).block_bytes;
    Bytes blocks = SkewedBlocks(dtype, 40, block_bytes);
    for (size_t phase : {size_t{0}, size_t{1}, block_bytes / 2, block_bytes - 1}) {
      for (size_t cut : {size_t{0}, size_t{1}, block_bytes - 1}) {
        Bytes chunk(blocks.begin() + static_cast<ptrdiff_t>(phase), blocks.end() - static_cast<ptrdiff_t>(cut));
        uint64_t offset = 3 * block_bytes + phase;
        Result<Bytes> decoded = Decode(dtype, offset, Encode(dtype, offset, chunk), chunk.size());
        ASSERT_THAT(decoded, IsOk()) << NameOf(dtype);
        EXPECT_TRUE(decoded.value() == chunk) << NameOf(dtype) << " " << phase << " " << cut;
      }
    }
  }
}

TEST(BlockFieldsCodec, ChunksWithoutAWholeBlockAreLeftToOthers) {
  Bytes chunk(100, std::byte{1});
  EXPECT_TRUE(Encode(DType::kGgmlQ4K, 0, chunk).empty());
  EXPECT_TRUE(Encode(DType::kGgmlQ4K, 100, Bytes(187, std::byte{1})).empty());
}

constexpr unsigned kCentred = 1, kMaxima = 2, kClasses = 4;

unsigned FlagsOf(DType dtype, const Bytes& blocks) { return std::to_integer<unsigned>(Encode(dtype, 0, blocks)[0]); }

TEST(BlockFieldsCodec, QuantsOfTypesWithMinimaAreCentredWhereThatHelps) {
  EXPECT_EQ(FlagsOf(DType::kGgmlQ41, WeightBlocks(500)) & kCentred, kCentred);
  // Quants that have nothing to do with the minimum.
  Bytes blocks = WeightBlocks(500);
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 20 >= 4) blocks[i] = std::byte{0x77};
  }
  EXPECT_EQ(FlagsOf(DType::kGgmlQ41, blocks) & kCentred, 0U);
}

TEST(BlockFieldsCodec, ScalesOfBf16WeightsAreStoredAsMaxima) {
  EXPECT_EQ(FlagsOf(DType::kGgmlQ41, WeightBlocks(500, true)) & kMaxima, kMaxima);
  EXPECT_EQ(FlagsOf(DType::kGgmlQ41, WeightBlocks(500, false)) & kMaxima, 0U);
  EXPECT_LT(Encode(DType::kGgmlQ41, 0, WeightBlocks(5000, true)).size(),
            Encode(DType::kGgmlQ41, 0, WeightBlocks(5000, false)).size());
}

Bytes OutlierBlocks() {
  test::Random random(9);
  return test::MakeOutliersQ80(3000, random);
}

TEST(BlockFieldsCodec, UnitsAreSortedByScaleWhereThatHelps) {
  Bytes blocks = OutlierBlocks();
  EXPECT_EQ(FlagsOf(DType::kGgmlQ80, blocks) & kClasses, kClasses);
  Bytes payload = Encode(DType::kGgmlQ80, 0, blocks);
  Result<Bytes> decoded = Decode(DType::kGgmlQ80, 0, payload, blocks.size());
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == blocks);
  test::Random random(10);
  EXPECT_EQ(FlagsOf(DType::kGgmlQ80, random.Bytes(34 * 6000)) & kClasses, 0U);
}

TEST(BlockFieldsCodec, RecordsOfBlockTypesUseItAcrossChunks) {
  Bytes content = WeightBlocks(120'000);
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kGgmlQ41, {120'000, 32}, scratch);
  ASSERT_THAT(record, IsOk());
  ASSERT_EQ(record.value().frames.size(), 3U);
  size_t encoded_bytes = 0;
  for (const Bytes& frame : record.value().frames) {
    EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kBlockFields));
    encoded_bytes += frame.size();
  }
  EXPECT_LT(encoded_bytes, content.size() * 9 / 10);
  Result<Bytes> decoded = DecodeRecord(record.value(), scratch);
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == content);
}

TEST(BlockFieldsCodec, RepeatedBlocksAreLeftToMatches) {
  Bytes content = WeightBlocks(10'000);
  for (int i = 0; i < 2; ++i) content.insert(content.end(), content.begin(), content.end());
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kGgmlQ41, {40'000, 32}, scratch);
  ASSERT_THAT(record, IsOk());
  size_t encoded_bytes = 0;
  for (const Bytes& frame : record.value().frames) encoded_bytes += frame.size();
  EXPECT_LT(encoded_bytes, content.size() / 3);
}

TEST(BlockFieldsCodec, HeadsNameABlockType) {
  Bytes content = WeightBlocks(1000);
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kGgmlQ41, {1000, 32}, scratch);
  ASSERT_THAT(record, IsOk());
  const Bytes& head = record.value().plan.head_bytes;
  ASSERT_EQ(head.size(), kRecordHeadMinBytes + 8);
  Result<RecordHead> parsed = ParseRecordHead(head);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed.value().dtype, DType::kOpaque);
  EXPECT_EQ(parsed.value().side->blocks->layout->dtype, DType::kGgmlQ41);

  const auto changed = [&](size_t at, uint8_t value) {
    Bytes bad = head;
    bad[at] = static_cast<std::byte>(value);
    test::FixHead(bad);
    return ParseRecordHead(bad);
  };
  EXPECT_THAT(changed(8, 2), FailsWith(ErrorCode::kCorrupt));               // a dtype with elements
  EXPECT_THAT(changed(32, 68), FailsWith(ErrorCode::kUnsupportedFeature));  // no such type
  EXPECT_THAT(changed(32, 2), FailsWith(ErrorCode::kUnsupportedFeature));   // no block type
  EXPECT_THAT(changed(34, 1), FailsWith(ErrorCode::kUnsupportedFeature));   // reserved
  EXPECT_THAT(changed(39, 1), FailsWith(ErrorCode::kUnsupportedFeature));   // reserved
  EXPECT_THAT(changed(10, 0), FailsWith(ErrorCode::kCorrupt));              // side information of no transform
}

TEST(BlockFieldsCodec, RecordsWithoutBlocksHaveNoBlockFields) {
  Bytes content = SkewedBlocks(DType::kGgmlQ80, 100, 1);
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kU8, {content.size()}, scratch);
  ASSERT_THAT(record, IsOk());
  Bytes frame =
      test::MakeFrame(static_cast<uint8_t>(CodecId::kBlockFields), Encode(DType::kGgmlQ80, 0, content), content);
  EXPECT_THAT(test::DecodeChunk(record.value().plan.head, 0, frame, test::EntryOf(frame), scratch),
              FailsWith(ErrorCode::kCorrupt));
}

struct BadPayload {
  std::string what;
  std::function<void(Bytes&)> damage;
  ErrorCode code;
};

// Of a Q4_1 chunk that starts 15 bytes before a block and ends 7 bytes behind one: flags, 22 bytes of edges, 5 planes.
TEST(BlockFieldsCodec, RejectsBadPayloads) {
  constexpr size_t kFirstPlane = 1 + 15 + 7;
  Bytes blocks = test::Random(3).Bytes(200 * 20);
  Bytes chunk(blocks.begin() + 5, blocks.end() - 13);
  Bytes good = Encode(DType::kGgmlQ41, 5, chunk);
  ASSERT_THAT(Decode(DType::kGgmlQ41, 5, good, chunk.size()), IsOk());
  const BadPayload cases[] = {
      {"nothing", [](Bytes& p) { p.clear(); }, ErrorCode::kTruncated},
      {"unknown flag", [](Bytes& p) { p[0] = std::byte{0x80}; }, ErrorCode::kUnsupportedFeature},
      {"cut off in an edge", [](Bytes& p) { p.resize(kFirstPlane - 1); }, ErrorCode::kTruncated},
      {"no planes", [](Bytes& p) { p.resize(kFirstPlane); }, ErrorCode::kTruncated},
      {"unknown method", [](Bytes& p) { p[kFirstPlane] = std::byte{99}; }, ErrorCode::kUnsupportedFeature},
      {"a plane of another size", [](Bytes& p) { StoreLe(p.data() + kFirstPlane + 1, uint32_t{5}); },
       ErrorCode::kCorrupt},
      {"a plane over the end", [](Bytes& p) { StoreLe(p.data() + kFirstPlane + 1, UINT32_MAX); },
       ErrorCode::kTruncated},
      {"cut off in the last plane", [](Bytes& p) { p.pop_back(); }, ErrorCode::kTruncated},
      {"left over", [](Bytes& p) { p.push_back(std::byte{0}); }, ErrorCode::kCorrupt},
  };
  for (const BadPayload& bad : cases) {
    Bytes payload = good;
    bad.damage(payload);
    EXPECT_THAT(Decode(DType::kGgmlQ41, 5, payload, chunk.size()), FailsWith(bad.code)) << bad.what;
  }
  Bytes centred = Encode(DType::kGgmlQ80, 0, SkewedBlocks(DType::kGgmlQ80, 10, 1));
  centred[0] = std::byte{1};
  EXPECT_THAT(Decode(DType::kGgmlQ80, 0, centred, 340), FailsWith(ErrorCode::kUnsupportedFeature)) << "no minima";
  Bytes maxima = Encode(DType::kGgmlQ6K, 0, SkewedBlocks(DType::kGgmlQ6K, 10, 1));
  maxima[0] = std::byte{2};
  EXPECT_THAT(Decode(DType::kGgmlQ6K, 0, maxima, 2100), FailsWith(ErrorCode::kUnsupportedFeature)) << "no range";
  maxima[0] = std::byte{4};
  EXPECT_THAT(Decode(DType::kGgmlQ6K, 0, maxima, 2100), FailsWith(ErrorCode::kUnsupportedFeature)) << "no units";
}

TEST(BlockFieldsCodec, RejectsBadClasses) {
  Bytes chunk = OutlierBlocks();
  const Bytes good = Encode(DType::kGgmlQ80, 0, chunk);
  const auto classes = std::to_integer<size_t>(good[1]);
  ASSERT_GE(classes, 2U);
  const BadPayload cases[] = {
      {"one class", [](Bytes& p) { p[1] = std::byte{1}; }, ErrorCode::kCorrupt},
      {"five classes", [](Bytes& p) { p[1] = std::byte{5}; }, ErrorCode::kCorrupt},
      {"cut off in a threshold", [](Bytes& p) { p.resize(5); }, ErrorCode::kTruncated},
      {"thresholds that fall",
       [](Bytes& p) {
         p[1] = std::byte{3};
         StoreLe(p.data() + 2, int32_t{1});
         StoreLe(p.data() + 6, int32_t{0});
       },
       ErrorCode::kCorrupt},
      {"classes of other sizes", [](Bytes& p) { StoreLe(p.data() + 2, INT32_MIN); }, ErrorCode::kCorrupt},
  };
  for (const BadPayload& bad : cases) {
    Bytes payload = good;
    bad.damage(payload);
    EXPECT_THAT(Decode(DType::kGgmlQ80, 0, payload, chunk.size()), FailsWith(bad.code)) << bad.what;
  }
}

TEST(BlockFieldsCodec, FlippedBitsNeverReadOutside) {
  test::Random random(4);
  Bytes outliers = OutlierBlocks();
  for (const auto& [dtype, chunk] :
       {std::pair(DType::kGgmlQ41, WeightBlocks(300)), std::pair(DType::kGgmlQ80, outliers),
        std::pair(DType::kGgmlQ2K, SkewedBlocks(DType::kGgmlQ2K, 50, 2))}) {
    const Bytes good = Encode(dtype, 0, chunk);
    for (int i = 0; i < 400; ++i) {
      Bytes payload = good;
      size_t reach = random.OneIn(2) ? payload.size() : std::min<size_t>(payload.size(), 40);
      payload[random.Below(reach)] ^= static_cast<std::byte>(1 << random.Below(8));
      Result<Bytes> decoded = Decode(dtype, 0, payload, chunk.size());
      EXPECT_TRUE(!decoded.ok() || decoded.value().size() == chunk.size());
    }
  }
}

}  // namespace
}  // namespace flyweight
