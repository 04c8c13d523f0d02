#include "codec/palette_codec.h"

#include <gtest/gtest.h>

#include <string>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/plane_coder.h"
#include "codec/scratch.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::IsOk;

Bytes FewValues(size_t width, size_t count, size_t distinct) {
  test::Random random(distinct);
  std::vector<uint64_t> values(distinct);
  for (uint64_t& value : values) value = random.Bits();
  Bytes chunk(width * count);
  for (size_t i = 0; i < count; ++i) std::memcpy(chunk.data() + i * width, &values[random.Below(distinct)], width);
  return chunk;
}

Bytes Encode(const Bytes& chunk, size_t width, size_t room_bytes) {
  CodecScratch scratch;
  Bytes payload(room_bytes);
  payload.resize(EncodePaletteChunk(chunk, width, payload, scratch.impl()));
  return payload;
}

Result<Bytes> Decode(ByteSpan payload, size_t width, size_t chunk_bytes) {
  CodecScratch scratch;
  Bytes chunk(chunk_bytes);
  FLYWEIGHT_TRY(DecodePaletteChunk(payload, width, chunk, scratch.impl()));
  return chunk;
}

class PaletteCodec : public testing::TestWithParam<size_t> {};

TEST_P(PaletteCodec, RoundTripsChunksOfFewValues) {
  const size_t width = GetParam();
  for (size_t distinct : {1, 2, 7, 100, 256}) {
    for (size_t count : {1, 2, 63, 1000, 50000}) {
      const Bytes chunk = FewValues(width, count, distinct);
      const Bytes payload = Encode(chunk, width, 4000 + chunk.size());
      ASSERT_FALSE(payload.empty()) << distinct << " " << count;
      Result<Bytes> decoded = Decode(payload, width, chunk.size());
      ASSERT_THAT(decoded, IsOk());
      EXPECT_TRUE(decoded.value() == chunk) << distinct << " " << count;
    }
  }
}

TEST_P(PaletteCodec, PatchesRareValuesBeyondThePalette) {
  const size_t width = GetParam();
  Bytes chunk = FewValues(width, 50000, 200);
  test::Random random(9);
  for (int i = 0; i < 400; ++i) {
    uint64_t value = random.Bits();
    std::memcpy(chunk.data() + random.Below(50000) * width, &value, width);
  }
  const Bytes payload = Encode(chunk, width, chunk.size());
  ASSERT_FALSE(payload.empty());
  EXPECT_LT(payload.size(), size_t{50000 + 400 * 12 + 3000});
  Result<Bytes> decoded = Decode(payload, width, chunk.size());
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == chunk);
}

TEST_P(PaletteCodec, GivesUpOnManyValues) {
  const size_t width = GetParam();
  test::Random random(10);
  const Bytes noise = random.Bytes(50000 * width);
  EXPECT_TRUE(Encode(noise, width, noise.size()).empty());
  // What a sample shows too little of.
  Bytes late = FewValues(width, 50000, 10);
  for (size_t i = 40000; i < 42000; ++i) {
    uint64_t value = random.Bits();
    std::memcpy(late.data() + i * width, &value, width);
  }
  EXPECT_TRUE(Encode(late, width, late.size()).empty());
}

TEST_P(PaletteCodec, GivesUpWhereThePayloadHasNoRoom) {
  const size_t width = GetParam();
  const Bytes chunk = FewValues(width, 5000, 30);
  const size_t needed = Encode(chunk, width, chunk.size()).size();
  EXPECT_EQ(Encode(chunk, width, needed).size(), needed);
  EXPECT_EQ(Encode(chunk, width, needed - 1).size(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Widths, PaletteCodec, testing::Values(2, 4, 8));

void StoredPlane(ByteWriter& writer, const Bytes& plane) {
  writer.Write(uint8_t{0});
  writer.Write(static_cast<uint32_t>(plane.size()));
  writer.Append(plane);
}

Bytes AsPlane(const std::vector<int>& values) {
  Bytes plane;
  for (int value : values) plane.push_back(static_cast<std::byte>(value));
  return plane;
}

// A palette of 0x0105 and 0x0207 and four elements.
Bytes Payload(int last_index = 1, const std::vector<int>& indices = {0, 1, 1, 0}, int reserved = 0) {
  ByteWriter writer;
  writer.Write(static_cast<uint8_t>(last_index));
  writer.Write(uint16_t{0});
  writer.Write(static_cast<uint8_t>(reserved));
  StoredPlane(writer, AsPlane({5, 2}));
  StoredPlane(writer, AsPlane({1, 1}));
  StoredPlane(writer, AsPlane(indices));
  return writer.Release();
}

TEST(DecodePaletteChunk, ReadsWhatTheDocumentSays) {
  Bytes payload = Payload();
  for (int byte : {2, 0, 0xAA, 0xBB}) payload.push_back(static_cast<std::byte>(byte));
  Result<Bytes> decoded = Decode(payload, 2, 8);
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == AsPlane({5, 1, 7, 2, 0xAA, 0xBB, 5, 1}));
}

struct BadPayload {
  std::string name;
  Bytes payload;
  size_t width;
  ErrorCode code;
};

class MalformedPalette : public testing::TestWithParam<BadPayload> {};

TEST_P(MalformedPalette, IsAnError) {
  EXPECT_THAT(Decode(GetParam().payload, GetParam().width, 4 * GetParam().width), FailsWith(GetParam().code));
}

Bytes With(Bytes payload, size_t at, int value) {
  payload[at] = static_cast<std::byte>(value);
  return payload;
}

Bytes Longer(Bytes payload, const std::vector<int>& values) {
  for (int value : values) payload.push_back(static_cast<std::byte>(value));
  return payload;
}

INSTANTIATE_TEST_SUITE_P(
    Each, MalformedPalette,
    testing::Values(BadPayload{"Empty", {}, 2, ErrorCode::kTruncated},
                    BadPayload{"ReservedInUse", Payload(1, {0, 1, 1, 0}, 1), 2, ErrorCode::kCorrupt},
                    BadPayload{"OneByteElements", Payload(), 1, ErrorCode::kCorrupt},
                    BadPayload{"AnIndexWithoutEntry", Payload(1, {0, 1, 2, 0}), 2, ErrorCode::kCorrupt},
                    BadPayload{"AnIndexOf255", Payload(1, {0, 1, 255, 0}), 2, ErrorCode::kCorrupt},
                    BadPayload{"MoreEntriesThanStored", Payload(2), 2, ErrorCode::kCorrupt},
                    BadPayload{"FewerEntriesThanStored", Payload(0), 2, ErrorCode::kCorrupt},
                    BadPayload{"FewerIndices", Payload(1, {0, 1, 1}), 2, ErrorCode::kCorrupt},
                    BadPayload{"AnUnknownPlaneMethod", With(Payload(), 4, 99), 2, ErrorCode::kUnsupportedFeature},
                    BadPayload{"AByteLeftOver", Longer(Payload(), {0}), 2, ErrorCode::kCorrupt},
                    BadPayload{"APatchBehindTheChunk", Longer(Payload(), {4, 0, 1, 1}), 2, ErrorCode::kCorrupt}),
    [](const auto& each) { return each.param.name; });

TEST(DecodePaletteChunk, RefusesBytesCutOffAnywhere) {
  const Bytes payload = Payload();
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_THAT(Decode(ByteSpan(payload).first(size), 2, 8), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

TEST(EncodeFrame, TakesAPaletteForFewValuesOfAnyWidth) {
  CodecScratch scratch;
  for (DType dtype : {DType::kBF16, DType::kF32, DType::kI64, DType::kF64, DType::kU16}) {
    const size_t width = Describe(dtype).bits / 8;
    const Bytes content = FewValues(width, 300000, 150);
    Result<test::EncodedRecord> record = test::EncodeRecord(content, dtype, {300000}, scratch);
    ASSERT_THAT(record, IsOk());
    for (const Bytes& frame : record.value().frames) {
      EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kPalette)) << Describe(dtype).name;
    }
    Result<Bytes> decoded = test::DecodeRecord(record.value(), scratch);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == content);
  }
}

}  // namespace
}  // namespace flyweight
