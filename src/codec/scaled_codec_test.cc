#include "codec/scaled_codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <string>

#include "codec/codec_id.h"
#include "codec/codec_test_tools.h"
#include "codec/scaled_search.h"
#include "codec/scratch.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::FailsWith;
using test::IsOk;

constexpr ScaledForm kForms[] = {{ScaledWord::kBF16, ScaledRounding::kNearest},
                                 {ScaledWord::kBF16, ScaledRounding::kTruncate},
                                 {ScaledWord::kF16, ScaledRounding::kNearest},
                                 {ScaledWord::kF32, ScaledRounding::kNearest}};

// Gaussian weights in groups, quantised as quantisers do it: the largest of a group becomes `levels`.
Bytes Quantised(ScaledForm form, size_t count, size_t group, int levels, bool keeps_minus_zero = true) {
  test::Random random(group);
  const size_t width = ScaledWordBytes(form.word);
  Bytes chunk(count * width);
  std::vector<float> weights(group);
  for (size_t begin = 0; begin < count; begin += group) {
    for (float& weight : weights) weight = static_cast<float>(random.Gaussian() * 0.02);
    float largest = 0;
    for (float weight : weights) largest = std::max(largest, std::abs(weight));
    // A scale of 11 bits, as halves have.
    float scale = std::bit_cast<float>(std::bit_cast<uint32_t>(largest / static_cast<float>(levels)) & 0xFFFFE000U);
    for (size_t i = begin; i < std::min(count, begin + group); ++i) {
      const float steps = weights[i - begin] / scale;
      const auto k = static_cast<int32_t>(std::lround(std::abs(steps)));
      uint32_t word = ScaledMagnitude(form, k, scale);
      if (steps < 0 && (k != 0 || keeps_minus_zero)) word |= SignBit(form.word);
      std::memcpy(chunk.data() + i * width, &word, width);
    }
  }
  return chunk;
}

Bytes Encode(ScaledForm form, const Bytes& chunk, const ScaledPlace& place, size_t room_bytes) {
  CodecScratch scratch;
  Bytes payload(room_bytes);
  payload.resize(EncodeScaledChunk(form.word, place, chunk, payload, scratch.impl()));
  return payload;
}

Bytes Encode(ScaledForm form, const Bytes& chunk) {
  return Encode(form, chunk, {0, chunk.size() / ScaledWordBytes(form.word)}, chunk.size());
}

Result<Bytes> Decode(ScaledWord word, ByteSpan payload, size_t chunk_bytes) {
  CodecScratch scratch;
  Bytes chunk(chunk_bytes);
  FLYWEIGHT_TRY(DecodeScaledChunk(word, payload, chunk, scratch.impl()));
  return chunk;
}

uint32_t GroupElementsOf(const Bytes& payload) { return LoadLe<uint32_t>(payload.data() + 8); }

class ScaledCodec : public testing::TestWithParam<ScaledForm> {};

TEST_P(ScaledCodec, FindsGroupsOfEverySize) {
  for (size_t group : {16, 32, 64, 128, 256, 1024, 40000}) {
    const Bytes chunk = Quantised(GetParam(), 40000, group, 7);
    const Bytes payload = Encode(GetParam(), chunk);
    ASSERT_FALSE(payload.empty()) << group;
    EXPECT_EQ(GroupElementsOf(payload), group);
    EXPECT_LT(payload.size(), size_t{40000});
    Result<Bytes> decoded = Decode(GetParam().word, payload, chunk.size());
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == chunk) << group;
  }
}

TEST_P(ScaledCodec, FindsRowsOfAnyLengthWhereverTheChunkBegins) {
  for (size_t columns : {100, 384, 1000}) {
    const Bytes tensor = Quantised(GetParam(), 40 * columns, columns, 127);
    const size_t width = ScaledWordBytes(GetParam().word), first = 3 * columns + 77;
    const Bytes chunk(tensor.begin() + static_cast<ptrdiff_t>(first * width), tensor.end());
    const Bytes payload = Encode(GetParam(), chunk, {first, 40 * columns}, chunk.size());
    ASSERT_FALSE(payload.empty()) << columns;
    EXPECT_EQ(GroupElementsOf(payload), columns);
    Result<Bytes> decoded = Decode(GetParam().word, payload, chunk.size());
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == chunk) << columns;
  }
}

TEST_P(ScaledCodec, KeepsZerosWithAndWithoutSign) {
  for (bool keeps_minus_zero : {false, true}) {
    const Bytes chunk = Quantised(GetParam(), 20000, 128, 7, keeps_minus_zero);
    const Bytes payload = Encode(GetParam(), chunk);
    ASSERT_FALSE(payload.empty());
    EXPECT_EQ(std::to_integer<int>(payload[0]) & 2, keeps_minus_zero ? 2 : 0);
    Result<Bytes> decoded = Decode(GetParam().word, payload, chunk.size());
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == chunk);
  }
}

TEST_P(ScaledCodec, PatchesOutliers) {
  const size_t width = ScaledWordBytes(GetParam().word);
  Bytes chunk = Quantised(GetParam(), 40000, 128, 7);
  test::Random random(12);
  for (int i = 0; i < 100; ++i) {
    auto value = random.Bits();  // NaN and infinities among them
    std::memcpy(chunk.data() + random.Below(40000) * width, &value, width);
  }
  const Bytes payload = Encode(GetParam(), chunk);
  ASSERT_FALSE(payload.empty());
  EXPECT_EQ(GroupElementsOf(payload), 128U);
  Result<Bytes> decoded = Decode(GetParam().word, payload, chunk.size());
  ASSERT_THAT(decoded, IsOk());
  EXPECT_TRUE(decoded.value() == chunk);
}

TEST_P(ScaledCodec, LeavesOtherFloatsAlone) {
  test::Random random(13);
  const size_t width = ScaledWordBytes(GetParam().word);
  Bytes chunk(40000 * width);
  for (size_t i = 0; i < 40000; ++i) {
    auto weight = static_cast<float>(random.Gaussian() * 0.02);
    uint32_t word = ScaledMagnitude(GetParam(), 1, std::abs(weight)) | (weight < 0 ? SignBit(GetParam().word) : 0);
    std::memcpy(chunk.data() + i * width, &word, width);
  }
  EXPECT_TRUE(Encode(GetParam(), chunk).empty());
  EXPECT_TRUE(Encode(GetParam(), random.Bytes(40000 * width)).empty());
  EXPECT_TRUE(Encode(GetParam(), Bytes(40000 * width)).empty());
  for (size_t count : {0, 1, 5, 17})
    EXPECT_TRUE(Encode(GetParam(), Bytes(count * width, std::byte{0x3C})).size() <= count * width);
}

TEST_P(ScaledCodec, GivesUpWhereThePayloadHasNoRoom) {
  const Bytes chunk = Quantised(GetParam(), 5000, 5000, 7);
  const ScaledPlace place{0, 5000};
  const size_t needed = Encode(GetParam(), chunk).size();
  ASSERT_NE(needed, 0U);
  EXPECT_EQ(Encode(GetParam(), chunk, place, needed).size(), needed);
  EXPECT_EQ(Encode(GetParam(), chunk, place, needed - 1).size(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Forms, ScaledCodec, testing::ValuesIn(kForms), [](const auto& each) {
  std::string name = each.param.word == ScaledWord::kF32 ? "F32" : each.param.word == ScaledWord::kF16 ? "F16" : "BF16";
  return name + (each.param.rounding == ScaledRounding::kTruncate ? "CutOff" : "");
});

struct Fields {
  uint8_t flags = 2;
  uint8_t zero = 8;
  uint8_t minus_zero = 15;
  uint8_t plane_count = 1;
  uint8_t shift = 23;
  uint8_t reserved = 0;
  uint32_t group = 4;
  uint32_t first = 2;
  uint32_t base = 0x3F800000;
  std::vector<int> codes = {8, 9, 15, 1, 0, 255, 8};
  std::vector<int> scales = {0, 1, 2};
  std::vector<int> patches = {};
};

void StoredPlane(ByteWriter& writer, const std::vector<int>& plane) {
  writer.Write(uint8_t{0});
  writer.Write(static_cast<uint32_t>(plane.size()));
  for (int value : plane) writer.Write(static_cast<uint8_t>(value));
}

// Seven elements: two with scale 1, four with scale 2, one with scale 4.
Bytes Payload(const Fields& fields) {
  ByteWriter writer;
  for (uint8_t byte : {fields.flags, fields.zero, fields.minus_zero, fields.plane_count, fields.shift, fields.reserved,
                       uint8_t{0}, uint8_t{0}})
    writer.Write(byte);
  writer.Write(fields.group);
  writer.Write(fields.first);
  writer.Write(fields.base);
  StoredPlane(writer, fields.codes);
  for (unsigned p = 0; p < fields.plane_count; ++p) StoredPlane(writer, fields.scales);
  for (int value : fields.patches) writer.Write(static_cast<uint8_t>(value));
  return writer.Release();
}

TEST(DecodeScaledChunk, ReadsWhatTheDocumentSays) {
  Fields fields;
  fields.patches = {6, 0, 0, 0, 0xC0, 0x7F};
  Result<Bytes> decoded = Decode(ScaledWord::kF32, Payload(fields), 28);
  ASSERT_THAT(decoded, IsOk());
  const float expected[] = {0.0F, 1.0F, -0.0F, -14.0F, -16.0F, 494.0F, std::bit_cast<float>(0x7FC00000)};
  EXPECT_EQ(std::memcmp(decoded.value().data(), expected, sizeof expected), 0);
}

struct BadPayload {
  std::string name;
  Bytes payload;
  ErrorCode code = ErrorCode::kCorrupt;
};

Bytes With(const std::function<void(Fields&)>& change) {
  Fields fields;
  change(fields);
  return Payload(fields);
}

class MalformedScaled : public testing::TestWithParam<BadPayload> {};

TEST_P(MalformedScaled, IsAnError) {
  EXPECT_THAT(Decode(ScaledWord::kF32, GetParam().payload, 28), FailsWith(GetParam().code));
}

INSTANTIATE_TEST_SUITE_P(
    Each, MalformedScaled,
    testing::Values(BadPayload{"UnknownFlags", With([](Fields& f) { f.flags = 6; })},
                    BadPayload{"F32CutOff", With([](Fields& f) { f.flags = 3; })},
                    BadPayload{"ACodeForMinusZeroThatIsNotInUse", With([](Fields& f) { f.flags = 0; })},
                    BadPayload{"ReservedInUse", With([](Fields& f) { f.reserved = 1; })},
                    BadPayload{"FivePlanesOfScales", With([](Fields& f) { f.plane_count = 5; })},
                    BadPayload{"AShiftOf32", With([](Fields& f) { f.shift = 32; })},
                    BadPayload{"GroupsOfNothing", With([](Fields& f) { f.group = f.first = 0; })},
                    BadPayload{"AFirstGroupOfNothing", With([](Fields& f) { f.first = 0; })},
                    BadPayload{"AFirstGroupLargerThanAGroup", With([](Fields& f) { f.first = 5; })},
                    BadPayload{"MoreGroupsThanScales", With([](Fields& f) { f.group = f.first = 1; })},
                    BadPayload{"FewerGroupsThanScales", With([](Fields& f) { f.group = f.first = 7; })},
                    BadPayload{"AnInfiniteScale", With([](Fields& f) { f.scales[2] = 128; })},
                    BadPayload{"AScaleThatWrapsAround", With([](Fields& f) { f.base = 0xFFFFFFFF; })},
                    BadPayload{"AScaleShiftedOut", With([](Fields& f) { f.shift = 31, f.scales[1] = 2; })},
                    BadPayload{"ANegativeScale", With([](Fields& f) { f.base = 0x80000000; })},
                    BadPayload{"FewerCodes", With([](Fields& f) { f.codes.pop_back(); })},
                    BadPayload{"APatchBehindTheChunk", With([](Fields& f) { f.patches = {7, 0, 1, 1, 1, 1}; })},
                    BadPayload{"AByteLeftOver", With([](Fields& f) { f.patches = {0}; })}),
    [](const auto& each) { return each.param.name; });

TEST(DecodeScaledChunk, RefusesBytesCutOffAnywhere) {
  const Bytes payload = Payload({});
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_THAT(Decode(ScaledWord::kF32, ByteSpan(payload).first(size), 28), FailsWith(ErrorCode::kTruncated)) << size;
  }
}

TEST(DecodeFrame, RefusesScaledIntegersOfOtherDtypes) {
  CodecScratch scratch;
  for (DType dtype : {DType::kI32, DType::kF64, DType::kC64, DType::kU8, DType::kOpaque}) {
    const Bytes content(7 * std::max<size_t>(1, Describe(dtype).bits / 8));
    Result<test::EncodedRecord> record = test::EncodeRecord(content, dtype, {7}, scratch);
    ASSERT_THAT(record, IsOk());
    const Bytes frame = test::MakeFrame(static_cast<uint8_t>(CodecId::kScaled), Payload({}), content);
    EXPECT_THAT(test::DecodeChunk(record.value().plan.head, 0, frame, test::EntryOf(frame), scratch),
                FailsWith(ErrorCode::kCorrupt));
  }
}

TEST(EncodeFrame, TakesScaledIntegersForQuantisedWeights) {
  CodecScratch scratch;
  for (auto [dtype, form] : {std::pair{DType::kBF16, kForms[0]}, {DType::kF16, kForms[2]}, {DType::kF32, kForms[3]}}) {
    const Bytes content = Quantised(form, 400000, 128, 7);
    Result<test::EncodedRecord> record = test::EncodeRecord(content, dtype, {400000}, scratch);
    ASSERT_THAT(record, IsOk());
    for (const Bytes& frame : record.value().frames)
      EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kScaled));
    Result<Bytes> decoded = test::DecodeRecord(record.value(), scratch);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == content);
  }
}

}  // namespace
}  // namespace flyweight
