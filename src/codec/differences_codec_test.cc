#include "codec/differences_codec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/scratch.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::EncodedRecord;
using test::FailsWith;
using test::IsOk;

template <typename T>
Bytes BytesOf(const std::vector<T>& values) {
  auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

Bytes Walk(size_t count) {
  test::Random random(3);
  std::vector<float> values;
  double value = 5;
  for (size_t i = 0; i < count; ++i) values.push_back(static_cast<float>(value += 1e-4 * random.Gaussian()));
  return BytesOf(values);
}

EncodedRecord Encode(const Bytes& content, DType dtype) {
  CodecScratch scratch;
  Result<EncodedRecord> record = test::EncodeRecord(content, dtype, {}, scratch);
  EXPECT_THAT(record, IsOk());
  return std::move(record).value();
}

TEST(DifferencesCodec, TakesSortedIndicesAndSmoothFloats) {
  std::vector<int64_t> indices(50000);
  test::Random random(1);
  for (size_t i = 1; i < indices.size(); ++i) indices[i] = indices[i - 1] + static_cast<int64_t>(random.Below(100));
  const std::pair<DType, Bytes> cases[] = {{DType::kI64, BytesOf(indices)}, {DType::kF32, Walk(50000)}};
  for (const auto& [dtype, content] : cases) {
    EncodedRecord record = Encode(content, dtype);
    EXPECT_EQ(test::CodecOf(record.frames[0]), static_cast<uint8_t>(CodecId::kDifferences));
    CodecScratch scratch;
    Result<Bytes> decoded = test::DecodeRecord(record, scratch);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == content);
  }
}

TEST(DifferencesCodec, RefusesElementsOfOneByteAndWhatPlanesRefuse) {
  Bytes content = Walk(5000);
  Bytes payload(content.size());
  CodecScratch scratch;
  payload.resize(EncodeDifferencesChunk(content, 4, payload, scratch.impl()));
  ASSERT_FALSE(payload.empty());
  Bytes chunk(content.size());
  Bytes padded = payload;
  padded.resize(payload.size() + kDecodePaddingBytes);
  ByteSpan sound = ByteSpan(padded).first(payload.size());
  EXPECT_THAT(DecodeDifferencesChunk(sound, 4, chunk, scratch.impl()), IsOk());
  EXPECT_TRUE(chunk == content);
  EXPECT_THAT(DecodeDifferencesChunk(sound, 1, chunk, scratch.impl()), FailsWith(ErrorCode::kCorrupt));
  for (size_t size = 0; size < payload.size(); size += 1 + size / 8)
    EXPECT_FALSE(DecodeDifferencesChunk(sound.first(size), 4, chunk, scratch.impl()).ok()) << size;
}

}  // namespace
}  // namespace flyweight
