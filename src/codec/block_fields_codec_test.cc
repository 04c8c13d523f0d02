#include "codec/block_fields_codec.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
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

// Bytes that crowd around a middle, as scales and quants do.
Bytes SkewedBlocks(DType dtype, size_t block_count, uint64_t seed) {
  test::Random random(seed);
  Bytes blocks(block_count * BlockLayoutOf(dtype).block_bytes);
  for (std::byte& byte : blocks) {
    byte = static_cast<std::byte>((random.Below(6) + random.Below(6)) | (random.Below(6) + random.Below(6)) << 4);
  }
  return blocks;
}

// Q4_1 of Gaussian weights whose blocks have minima of their own.
Bytes WeightBlocks(size_t block_count) {
  test::Random random(7);
  Bytes blocks;
  for (size_t b = 0; b < block_count; ++b) {
    Bytes block(20);
    auto zero = static_cast<int>(5 + random.Below(6));
    StoreLe(block.data(), static_cast<uint16_t>(0x2000 + random.Below(512)));
    StoreLe(block.data() + 2, static_cast<uint16_t>(0x8000 | (LoadLe<uint16_t>(block.data()) + 0x800 + zero * 128)));
    for (size_t i = 4; i < 20; ++i) {
      const auto quant = [&] { return std::clamp(static_cast<int>(zero + 2.2 * random.Gaussian()), 0, 15); };
      block[i] = static_cast<std::byte>(quant() | quant() << 4);
    }
    blocks.insert(blocks.end(), block.begin(), block.end());
  }
  return blocks;
}

Bytes Encode(DType dtype, uint64_t chunk_offset, const Bytes& chunk) {
  CodecScratch scratch;
  Bytes payload(2 * chunk.size() + 100);
  payload.resize(EncodeBlockFieldsChunk(BlockLayoutOf(dtype), chunk_offset, chunk, payload, scratch.impl()));
  return payload;
}

Result<Bytes> Decode(DType dtype, uint64_t chunk_offset, const Bytes& payload, size_t chunk_bytes) {
  CodecScratch scratch;
  Bytes chunk(chunk_bytes);
  FLYWEIGHT_TRY(DecodeBlockFieldsChunk(BlockLayoutOf(dtype), chunk_offset, payload, chunk, scratch.impl()));
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

TEST(BlockFieldsCodec, QuantsOfTypesWithMinimaAreCentredWhereThatHelps) {
  EXPECT_EQ(Encode(DType::kGgmlQ41, 0, WeightBlocks(500))[0], std::byte{1});
  // Quants that have nothing to do with the minimum.
  Bytes blocks = WeightBlocks(500);
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 20 >= 4) blocks[i] = std::byte{0x77};
  }
  EXPECT_EQ(Encode(DType::kGgmlQ41, 0, blocks)[0], std::byte{0});
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
}

TEST(BlockFieldsCodec, FlippedBitsNeverReadOutside) {
  Bytes chunk = WeightBlocks(300);
  Bytes good = Encode(DType::kGgmlQ41, 0, chunk);
  test::Random random(4);
  for (int i = 0; i < 2000; ++i) {
    Bytes payload = good;
    payload[random.Below(std::min<size_t>(payload.size(), 200))] ^= static_cast<std::byte>(1 << random.Below(8));
    Result<Bytes> decoded = Decode(DType::kGgmlQ41, 0, payload, chunk.size());
    EXPECT_TRUE(!decoded.ok() || decoded.value().size() == chunk.size());
  }
}

}  // namespace
}  // namespace flyweight
