#include "codec/dense_codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "codec/activity_numbers.h"
#include "codec/codec_id.h"
#include "codec/dense_plan.h"
#include "codec/float_side.h"
#include "codec/patch_test_tools.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
#include "simd/isa.h"
#include "support/random.h"
#include "tensor/cast.h"

namespace flyweight {
namespace {

using test::BasePlace;
using test::Bytes;
using test::EncodedPatch;
using test::FailsWith;
using test::IsOk;
using test::PatchInput;

constexpr BasePlace kPlaces[] = {BasePlace::kApart, BasePlace::kInTarget};

// A matrix and the same after some training: distances that follow rows and columns, and dead rows.
struct Tuned {
  DType dtype = DType::kBF16;
  Shape shape;
  Bytes base, content;
};

Bytes Cast(DType dtype, const std::vector<float>& values) {
  Bytes wide(values.size() * 4);
  std::memcpy(wide.data(), values.data(), wide.size());
  if (dtype == DType::kF32) return wide;
  Bytes words(values.size() * 2);
  CastFromF32(dtype == DType::kF16 ? CastMethod::kF16 : CastMethod::kBF16, wide, words);
  return words;
}

Tuned Tune(DType dtype, size_t rows, size_t columns, size_t live_in = 1, float step = 3e-4F) {
  test::Random random(rows * 7 + columns);
  std::vector<float> base(rows * columns), content;
  for (float& value : base) value = static_cast<float>(0.05 * random.Gaussian());
  content = base;
  std::vector<float> activity(columns);
  for (float& value : activity) value = static_cast<float>(std::exp(random.Gaussian()));
  for (size_t r = 0; r < rows; ++r) {
    const float row = random.Below(live_in) == 0 ? static_cast<float>(std::exp(0.7 * random.Gaussian())) : 0;
    for (size_t c = 0; c < columns; ++c)
      content[r * columns + c] += step * row * activity[c] * static_cast<float>(random.Gaussian());
  }
  return {dtype, {rows, columns}, Cast(dtype, base), Cast(dtype, content)};
}

EncodedPatch Encode(const Tuned& tuned) {
  CodecScratch scratch;
  Result<EncodedPatch> record =
      test::EncodePatch({tuned.content, tuned.dtype, tuned.base, tuned.dtype, tuned.shape}, scratch);
  EXPECT_THAT(record, IsOk());
  return std::move(record).value();
}

void ExpectRoundTrip(const Tuned& tuned, const EncodedPatch& record) {
  for (BasePlace place : kPlaces) {
    CodecScratch scratch;
    Result<Bytes> decoded = test::DecodePatch(record, tuned.base, place, scratch);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == tuned.content);
  }
}

TEST(DenseCodec, TakesWhatFollowsRowsAndColumns) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    SCOPED_TRACE(Describe(dtype).name);
    Tuned tuned = Tune(dtype, 700, 512);
    EncodedPatch record = Encode(tuned);
    ASSERT_EQ(record.frames.size(), 2U);
    for (const Bytes& frame : record.frames)
      EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kPatchDense));
    // Without the columns it takes more, as far as differences are not wide anyway.
    Tuned shapeless = tuned;
    shapeless.shape = {};
    const size_t shapeless_bytes = Encode(shapeless).size_bytes();
    EXPECT_LT(record.size_bytes(), shapeless_bytes * (dtype == DType::kF32 ? 101 : 97) / 100);
    const double off = static_cast<double>(record.estimated_bytes) / static_cast<double>(record.size_bytes());
    EXPECT_NEAR(off, 1, 0.05);
    ExpectRoundTrip(tuned, record);
  }
}

TEST(DenseCodec, RoundTripsOddShapesAndDeadRows) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (auto [rows, columns, live_in] : {std::array<size_t, 3>{1, 300, 1},
                                          {3, 1001, 1},
                                          {501, 77, 2},
                                          {2000, 33, 3},
                                          {5000, 100, 20},
                                          {40, 7000, 2},
                                          {300000, 1, 1},
                                          {9, 40000, 4}}) {
      Tuned tuned = Tune(dtype, rows, columns, live_in);
      SCOPED_TRACE(testing::Message() << Describe(dtype).name << " " << rows << " x " << columns);
      ExpectRoundTrip(tuned, Encode(tuned));
    }
  }
}

// NaN with payloads, infinities, both zeros, subnormals and changed signs, in the base, the content or both.
TEST(DenseCodec, KeepsWhatIsNoNumber) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    Tuned tuned = Tune(dtype, 400, 128);
    const size_t word_bytes = dtype == DType::kF32 ? 4 : 2;
    test::Random random(5);
    auto spoil = [&](Bytes& words) {
      for (size_t i = 0; i < words.size(); i += word_bytes) {
        if (random.Below(500) != 0) continue;
        const uint64_t odd[] = {0, ~uint64_t{0}, uint64_t{0x7F80}, uint64_t{0x8000}, uint64_t{1}, random.Bits()};
        const uint64_t word = odd[random.Below(6)];
        std::memcpy(words.data() + i + word_bytes - 2, &word, 2);
        if (random.Below(2) == 0) std::memcpy(words.data() + i, &word, word_bytes);
      }
    };
    spoil(tuned.base);
    spoil(tuned.content);
    EncodedPatch record = Encode(tuned);
    ExpectRoundTrip(tuned, record);
    // Whatever codec the chunk got: the dense one can do it.
    MemorySource content(tuned.content), base(tuned.base);
    const SourcedTensor tensor{content, 0, content.size(), dtype}, base_tensor{base, 0, base.size(), dtype};
    const PatchSide patch{dtype, base.size()};
    PatchStrips strips(tensor, base_tensor, patch);
    Result<std::optional<DensePlan>> plan =
        PlanDense(strips, *LayoutOf(dtype), tuned.content.size() / word_bytes, tuned.shape, 1);
    ASSERT_THAT(plan, IsOk());
    ASSERT_TRUE(plan.value().has_value());
    const DenseSide& side = plan.value()->side;
    CodecScratch scratch;
    Bytes payload(2 * tuned.content.size()), chunk = tuned.base;
    const size_t size = EncodeDenseChunk(side, 0, tuned.content, tuned.base.data(), payload, scratch.impl());
    ASSERT_NE(size, 0U);
    ASSERT_THAT(DecodeDenseChunk(side, 0, ByteSpan(payload).first(size), chunk.data(), chunk, scratch.impl()), IsOk());
    EXPECT_TRUE(chunk == tuned.content);
  }
}

TEST(DenseCodec, EveryIsaGivesTheSameRecordAndReadsIt) {
  const Tuned tuned[] = {Tune(DType::kBF16, 300, 384, 2), Tune(DType::kF32, 300, 384), Tune(DType::kF16, 111, 97, 2)};
  for (const Tuned& one : tuned) {
    ASSERT_TRUE(ForceIsa(Isa::kScalar));
    EncodedPatch scalar = Encode(one);
    for (Isa isa : SupportedIsas()) {
      ASSERT_TRUE(ForceIsa(isa));
      EncodedPatch record = Encode(one);
      EXPECT_TRUE(record.plan.head_bytes == scalar.plan.head_bytes && record.frames == scalar.frames) << IsaName(isa);
      ExpectRoundTrip(one, scalar);
    }
    ForceIsa(std::nullopt);
  }
}

// A payload of one chunk, its parts found by the sizes at its front.
struct Payload {
  std::shared_ptr<const DenseSide> side;
  Bytes bytes;
  Tuned tuned;

  Status Decode(const Bytes& changed) const {
    Bytes padded = changed, chunk(tuned.base);
    padded.resize(changed.size() + kDecodePaddingBytes, std::byte{0x5A});
    CodecScratch scratch;
    return DecodeDenseChunk(*side, 0, ByteSpan(padded).first(changed.size()), chunk.data(), chunk, scratch.impl());
  }
};

Payload MakePayload(DType dtype) {
  Payload payload;
  payload.tuned = Tune(dtype, 100, 384, 2);
  EncodedPatch record = Encode(payload.tuned);
  payload.side = record.plan.head.side->patch->dense;
  const Bytes& frame = record.frames[0];
  EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kPatchDense));
  payload.bytes.assign(frame.begin() + kFrameHeaderBytes + 8, frame.end());
  return payload;
}

TEST(DenseCodec, BadPayloadsAreRefused) {
  for (DType dtype : {DType::kBF16, DType::kF32}) {
    const Payload payload = MakePayload(dtype);
    ASSERT_THAT(payload.Decode(payload.bytes), IsOk());
    auto changed_u32 = [&](size_t at, uint32_t value) {
      Bytes changed = payload.bytes;
      StoreLe(changed.data() + at, value);
      return changed;
    };
    auto field = [&](size_t at) { return LoadLe<uint32_t>(payload.bytes.data() + at); };
    std::vector<std::pair<const char*, Bytes>> bad;
    for (size_t at : {0, 4, 8, 12}) {
      for (uint32_t value : {field(at) + 1, field(at) - 1, UINT32_MAX, UINT32_MAX / 2})
        if (value != field(at)) bad.push_back({"a size is wrong", changed_u32(at, value)});
    }
    Bytes longer = payload.bytes;
    longer.push_back(std::byte{0});
    bad.push_back({"bytes are left over", longer});
    bad.push_back({"nothing", {}});
    Bytes rows = payload.bytes;
    for (size_t i = 16; i < 24; ++i) rows[i] = std::byte{0};
    bad.push_back({"a code of activities is too long", rows});
    std::fill(rows.begin() + 16, rows.begin() + 40, std::byte{0xFF});
    bad.push_back({"a run of rows is empty", rows});
    for (const auto& [what, bytes] : bad) EXPECT_FALSE(payload.Decode(bytes).ok()) << what;
    for (size_t size = 0; size < payload.bytes.size(); size += 1 + size / 16)
      EXPECT_FALSE(payload.Decode({payload.bytes.begin(), payload.bytes.begin() + static_cast<long>(size)}).ok())
          << size;
  }
}

TEST(DenseCodec, ChangedPayloadsGiveOneVerdictOnEveryIsa) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const Payload payload = MakePayload(dtype);
    test::Random random(3);
    for (int i = 0; i < 60; ++i) {
      Bytes changed = payload.bytes;
      const size_t reach = i % 3 == 0 ? 64 : changed.size();
      for (uint64_t n = 0; n <= random.Below(3); ++n)
        changed[random.Below(reach)] ^= static_cast<std::byte>(1U << random.Below(8));
      std::optional<bool> verdict;
      for (Isa isa : SupportedIsas()) {
        ASSERT_TRUE(ForceIsa(isa));
        const bool ok = payload.Decode(changed).ok();
        EXPECT_EQ(verdict.value_or(ok), ok) << IsaName(isa);
        verdict = ok;
      }
    }
    ForceIsa(std::nullopt);
  }
}

TEST(ActivityNumbers, RoundTripAndAreBounded) {
  test::Random random(8);
  for (size_t count : {0, 1, 2, 700, 5000}) {
    for (uint64_t live_in : {1, 2, 30}) {
      std::vector<uint8_t> activities(count);
      for (uint8_t& activity : activities)
        activity = static_cast<uint8_t>(random.Below(live_in) == 0 ? 1 + random.Below(255) : 0);
      ByteWriter writer;
      WriteActivities(activities, writer);
      std::vector<uint8_t> read(count, 77);
      ReadCursor cursor(writer.bytes());
      ASSERT_THAT(ReadActivities(cursor, read), IsOk());
      EXPECT_EQ(cursor.remaining(), 0U);
      EXPECT_EQ(read, activities);
      for (size_t size = 0; size < writer.size(); size += 1 + size / 8) {
        ReadCursor cut(writer.bytes().first(size));
        EXPECT_FALSE(ReadActivities(cut, read).ok());
      }
    }
  }
}

}  // namespace
}  // namespace flyweight
