#include "codec/plane_coder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Bytes = std::vector<std::byte>;

// Bytes of `value_count` values, which share their upper bits.
Bytes Uniform(size_t size_bytes, uint64_t value_count) {
  test::Random random(size_bytes + value_count);
  Bytes plane(size_bytes);
  for (std::byte& byte : plane) byte = static_cast<std::byte>(random.Below(value_count));
  return plane;
}

struct Coded {
  PlaneMethod method;
  Bytes bytes;
};

// Encodes into exactly the room that the contract asks for, decodes, compares.
Coded RoundTrip(const Bytes& plane) {
  PlaneScratch scratch;
  Bytes target(kPlaneHeaderBytes + plane.size());
  target.resize(EncodePlane(plane, target, scratch));
  ReadCursor cursor(target);
  Result<CodedPlane> coded = ReadCodedPlane(cursor, plane.size());
  EXPECT_THAT(coded, IsOk());
  EXPECT_EQ(cursor.remaining(), 0U);
  Bytes decoded(plane.size(), std::byte{0xA5});
  EXPECT_THAT(DecodePlane(coded.value(), decoded, scratch), IsOk());
  EXPECT_TRUE(decoded == plane);
  return {coded.value().method, target};
}

TEST(EncodePlane, StoresWhatIsTooShortForAnythingElse) {
  EXPECT_EQ(RoundTrip({}).bytes.size(), kPlaneHeaderBytes);
  EXPECT_EQ(RoundTrip(Bytes(1)).method, PlaneMethod::kStored);
}

TEST(EncodePlane, MakesOneByteOfConstants) {
  for (size_t size : {2, 3, 64, 100000}) {
    Coded coded = RoundTrip(Bytes(size, std::byte{0x7F}));
    EXPECT_EQ(coded.method, PlaneMethod::kConstant);
    EXPECT_EQ(coded.bytes.size(), kPlaneHeaderBytes + 1);
  }
}

TEST(EncodePlane, SeesTheOneByteThatIsNotConstant) {
  for (size_t place : {0, 1, 500, 998, 999}) {
    Bytes plane(1000, std::byte{3});
    plane[place] = std::byte{4};
    EXPECT_NE(RoundTrip(plane).method, PlaneMethod::kConstant) << place;
  }
}

TEST(EncodePlane, StoresNoise) {
  Coded coded = RoundTrip(Uniform(100000, 256));
  EXPECT_EQ(coded.method, PlaneMethod::kStored);
  EXPECT_EQ(coded.bytes.size(), kPlaneHeaderBytes + 100000);
}

TEST(EncodePlane, MasksBitsThatNeverVary) {
  Coded coded = RoundTrip(Uniform(64000, 16));
  EXPECT_EQ(coded.method, PlaneMethod::kMaskedBits);
  EXPECT_EQ(coded.bytes.size(), kPlaneHeaderBytes + 6 + 32000);
}

TEST(EncodePlane, MasksZeroBlocksAmongNoise) {
  Bytes plane = Uniform(64000, 256);
  std::fill(plane.begin() + 6400, plane.begin() + 57600, std::byte{0});
  std::fill(plane.begin() + 32000, plane.begin() + 38400, std::byte{0x80});
  Coded coded = RoundTrip(plane);
  EXPECT_LT(coded.bytes.size(), 13000U);
}

TEST(EncodePlane, CompressesFewValuesThatAreNoPowerOfTwo) {
  Coded coded = RoundTrip(Uniform(100000, 5));
  EXPECT_EQ(coded.method, PlaneMethod::kRans);
  EXPECT_LT(coded.bytes.size(), 29300U);
}

TEST(EncodePlane, IsNeverLargerThanStored) {
  test::Random random(1);
  for (int trial = 0; trial < 300; ++trial) {
    Bytes plane = Uniform(random.Size(3000), random.Between(1, 256));
    if (random.OneIn(2) && !plane.empty()) plane[random.Below(plane.size())] = std::byte{0xFF};
    EXPECT_LE(RoundTrip(plane).bytes.size(), kPlaneHeaderBytes + plane.size());
  }
}

TEST(EncodePlane, GivesTheSameBytesWhateverItCodedBefore) {
  PlaneScratch used, fresh;
  Bytes first(60000), second(60000), other = Uniform(50000, 7), plane = Uniform(50000, 11);
  EncodePlane(other, first, used);
  size_t used_bytes = EncodePlane(plane, first, used), fresh_bytes = EncodePlane(plane, second, fresh);
  ASSERT_EQ(used_bytes, fresh_bytes);
  EXPECT_TRUE(std::equal(second.begin(), second.begin() + static_cast<ptrdiff_t>(fresh_bytes), first.begin()));
}

Status Decode(uint8_t method, uint32_t declared_bytes, ByteSpan stored, size_t plane_bytes) {
  ByteWriter writer;
  writer.Write(method);
  writer.Write(declared_bytes);
  writer.Append(stored);
  ReadCursor cursor(writer.bytes());
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, plane_bytes));
  PlaneScratch scratch;
  Bytes plane(plane_bytes);
  return DecodePlane(coded, plane, scratch);
}

TEST(ReadCodedPlane, RefusesSizesThatCannotBe) {
  Bytes stored(100);
  EXPECT_THAT(Decode(0, 100, stored, 100), IsOk());
  EXPECT_THAT(Decode(0, 99, stored, 100), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Decode(0, 100, stored, 99), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Decode(1, 1, stored, 100), IsOk());
  EXPECT_THAT(Decode(1, 0, stored, 100), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Decode(1, 2, stored, 100), FailsWith(ErrorCode::kCorrupt));
}

TEST(ReadCodedPlane, RefusesUnknownMethods) {
  for (uint8_t method : {uint8_t{5}, uint8_t{6}, uint8_t{255}}) {
    EXPECT_THAT(Decode(method, 1, Bytes(1), 1), FailsWith(ErrorCode::kUnsupportedFeature));
  }
}

TEST(ReadCodedPlane, RefusesBytesCutOff) {
  EXPECT_THAT(Decode(0, 101, Bytes(100), 101), FailsWith(ErrorCode::kTruncated));
  EXPECT_THAT(Decode(2, UINT32_MAX, Bytes(100), 101), FailsWith(ErrorCode::kTruncated));
  Bytes bytes(4);
  ReadCursor cursor(bytes);
  EXPECT_THAT(ReadCodedPlane(cursor, 0), FailsWith(ErrorCode::kTruncated));
}

TEST(DecodePlane, RefusesContentThatIsNotWhatTheMethodSays) {
  Bytes zeros(100);
  EXPECT_THAT(Decode(2, 100, zeros, 100), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Decode(2, 0, {}, 100), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Decode(3, 100, zeros, 100), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(Decode(3, 1, zeros, 100), FailsWith(ErrorCode::kTruncated));
}

}  // namespace
}  // namespace flyweight
