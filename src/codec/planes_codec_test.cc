#include "codec/planes_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <tuple>

#include "codec/codec_test_tools.h"
#include "codec/plane_coder.h"
#include "codec/scratch.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::IsOk;

Bytes SmallIntegers(size_t element_bytes, size_t count) {
  test::Random random(count);
  Bytes chunk(element_bytes * count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t value = random.Below(200);
    std::memcpy(chunk.data() + i * element_bytes, &value, element_bytes);
  }
  return chunk;
}

Bytes Encode(const Bytes& chunk, size_t element_bytes, bool rotate, size_t room_bytes) {
  CodecScratch scratch;
  Bytes payload(room_bytes);
  payload.resize(EncodePlanesChunk(chunk, element_bytes, rotate, payload, scratch.impl()));
  return payload;
}

Result<Bytes> Decode(const Bytes& payload, size_t element_bytes, size_t chunk_bytes) {
  CodecScratch scratch;
  Bytes chunk(chunk_bytes);
  FLYWEIGHT_TRY(DecodePlanesChunk(payload, element_bytes, chunk, scratch.impl()));
  return chunk;
}

class PlanesCodec : public testing::TestWithParam<std::tuple<size_t, bool>> {};

TEST_P(PlanesCodec, RoundTripsEveryKindOfPlane) {
  auto [element_bytes, rotate] = GetParam();
  test::Random random(1);
  for (size_t count : {1, 2, 63, 64, 65, 5000}) {
    size_t chunk_bytes = count * element_bytes;
    size_t stored_bytes = 1 + element_bytes * (kPlaneHeaderBytes + count);
    for (const Bytes& chunk : {SmallIntegers(element_bytes, count), random.Bytes(chunk_bytes), Bytes(chunk_bytes)}) {
      Bytes payload = Encode(chunk, element_bytes, rotate, stored_bytes);
      ASSERT_FALSE(payload.empty());
      Result<Bytes> decoded = Decode(payload, element_bytes, chunk_bytes);
      ASSERT_THAT(decoded, IsOk());
      EXPECT_TRUE(decoded.value() == chunk) << count;
    }
  }
}

TEST_P(PlanesCodec, GivesUpWhereThePayloadHasNoRoom) {
  auto [element_bytes, rotate] = GetParam();
  Bytes chunk = SmallIntegers(element_bytes, 1000);
  size_t needed = Encode(chunk, element_bytes, rotate, 2 * chunk.size()).size();
  EXPECT_EQ(Encode(chunk, element_bytes, rotate, needed).size(), needed);
  EXPECT_EQ(Encode(chunk, element_bytes, rotate, needed - 1).size(), 0U);
}

INSTANTIATE_TEST_SUITE_P(All, PlanesCodec, testing::Combine(testing::Values(1, 2, 4, 8), testing::Bool()),
                         [](const auto& each) {
                           return "Width" + std::to_string(std::get<0>(each.param)) +
                                  (std::get<1>(each.param) ? "Rotated" : "Plain");
                         });

TEST(DecodePlanesChunk, RefusesARotationThatIsNeither) {
  Bytes payload = Encode(SmallIntegers(4, 100), 4, false, 400);
  payload[0] = std::byte{2};
  EXPECT_THAT(Decode(payload, 4, 400), FailsWith(ErrorCode::kCorrupt));
}

TEST(DecodePlanesChunk, RefusesBytesLeftOver) {
  Bytes payload = Encode(SmallIntegers(4, 100), 4, false, 400);
  payload.push_back(std::byte{0});
  EXPECT_THAT(Decode(payload, 4, 400), FailsWith(ErrorCode::kCorrupt));
}

TEST(DecodePlanesChunk, RefusesBytesCutOffAnywhere) {
  Bytes payload = Encode(SmallIntegers(2, 100), 2, true, 200);
  for (size_t size = 0; size < payload.size(); ++size) {
    Bytes cut(payload.begin(), payload.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(Decode(cut, 2, 200), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

TEST(DecodePlanesChunk, RefusesAnUnknownPlaneMethod) {
  Bytes payload = Encode(SmallIntegers(2, 100), 2, true, 200);
  payload[1] = std::byte{9};
  EXPECT_THAT(Decode(payload, 2, 200), FailsWith(ErrorCode::kUnsupportedFeature));
}

}  // namespace
}  // namespace flyweight
