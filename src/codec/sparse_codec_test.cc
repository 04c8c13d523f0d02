#include "codec/sparse_codec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "codec/codec_id.h"
#include "codec/patch_test_tools.h"
#include "codec/scratch.h"
#include "codec/sparse_gaps.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Bytes;
using test::EncodedPatch;
using test::FailsWith;
using test::IsOk;

Bytes Noise(size_t size, uint64_t seed) {
  test::Random random(seed);
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Bits());
  return bytes;
}

// One word in `step` is another.
Bytes Changed(Bytes bytes, size_t word_bytes, size_t step, bool wildly) {
  test::Random random(2);
  for (size_t i = 0; i < bytes.size(); i += word_bytes) {
    if (random.Below(step) != 0) continue;
    if (wildly) {
      for (size_t b = 0; b < word_bytes; ++b) bytes[i + b] = static_cast<std::byte>(random.Bits());
    } else {
      bytes[i] = static_cast<std::byte>(static_cast<uint8_t>(bytes[i]) ^ (1 + random.Below(2)));
    }
  }
  return bytes;
}

TEST(SparseCodec, TakesFewChangesOfEveryWidth) {
  const DType dtypes[] = {DType::kOpaque, DType::kF8E5M2, DType::kBF16, DType::kI32, DType::kF64, DType::kC64};
  for (DType dtype : dtypes) {
    const size_t word_bytes = PatchWordOf(dtype).bytes;
    for (size_t step : {size_t{100}, size_t{3000}}) {
      const Bytes base = Noise(600000 - 600000 % 8, 1), content = Changed(base, word_bytes, step, false);
      CodecScratch scratch;
      Result<EncodedPatch> record = test::EncodePatch({content, dtype, base, dtype}, scratch);
      ASSERT_THAT(record, IsOk());
      SCOPED_TRACE(testing::Message() << Describe(dtype).name << " one in " << step);
      for (const Bytes& frame : record.value().frames)
        EXPECT_EQ(test::CodecOf(frame), static_cast<uint8_t>(CodecId::kPatchSparse));
      const double changes = static_cast<double>(content.size() / word_bytes) / static_cast<double>(step);
      EXPECT_LT(static_cast<double>(record.value().size_bytes()),
                changes * (std::log2(step) + 3.6) / 8 * 1.02 + (dtype == DType::kC64 ? 900.0 : 300.0));
      for (test::BasePlace place : {test::BasePlace::kApart, test::BasePlace::kInTarget}) {
        Result<Bytes> decoded = test::DecodePatch(record.value(), base, place, scratch);
        ASSERT_THAT(decoded, IsOk());
        EXPECT_TRUE(decoded.value() == content);
      }
    }
  }
}

// The payload of a chunk and what it gives, with `expected` the prediction and the chunk in one.
struct Payload {
  Bytes base, content, bytes;
  PatchWord word;

  Status Decode(const Bytes& changed) const {
    Bytes padded = changed, chunk = base;
    padded.resize(changed.size() + kDecodePaddingBytes);
    CodecScratch scratch;
    FLYWEIGHT_TRY(DecodeSparseChunk(word, ByteSpan(padded).first(changed.size()), chunk.data(), chunk, scratch.impl()));
    if (chunk == content) return {};
    return Error{ErrorCode::kChecksumMismatch, 0, "another chunk"};
  }
};

Payload Encode(Bytes base, Bytes content) {
  Payload payload{std::move(base), std::move(content), {}, PatchWordOf(DType::kBF16)};
  payload.bytes.resize(payload.content.size());
  CodecScratch scratch;
  payload.bytes.resize(
      EncodeSparseChunk(payload.word, payload.content, payload.base.data(), payload.bytes, scratch.impl()));
  EXPECT_FALSE(payload.bytes.empty());
  return payload;
}

TEST(SparseCodec, GapsAreRiceCodesOrBytesWhicheverIsSmaller) {
  const Bytes base = Noise(20000, 4);
  Bytes regular = base;
  for (size_t i = 0; i < regular.size(); i += 200) regular[i] ^= std::byte{1};
  Payload plane = Encode(base, regular), rice = Encode(base, Changed(base, 2, 90, true));
  EXPECT_EQ(static_cast<uint8_t>(plane.bytes[1]), 255);
  EXPECT_LE(static_cast<uint8_t>(rice.bytes[1]), kMaxRice);
  EXPECT_THAT(plane.Decode(plane.bytes), IsOk());
  EXPECT_THAT(rice.Decode(rice.bytes), IsOk());
}

TEST(SparseCodec, BadPayloadsAreRefused) {
  const Bytes base = Noise(20000, 4);
  Bytes regular = base;
  for (size_t i = 0; i < regular.size(); i += 200) regular[i] ^= std::byte{1};
  for (const Payload& payload : {Encode(base, regular), Encode(base, Changed(base, 2, 90, true))}) {
    auto with = [&](size_t at, uint32_t value, size_t width) {
      Bytes changed = payload.bytes;
      std::memcpy(changed.data() + at, &value, width);
      return changed;
    };
    const auto count = LoadLe<uint32_t>(payload.bytes.data() + 2);
    const std::pair<const char*, Bytes> bad[] = {
        {"an unknown difference", with(0, 3, 1)},
        {"an unknown kind of gaps", with(1, 21, 1)},
        {"no changes", with(2, 0, 4)},
        {"more changes than words", with(2, 10001, 4)},
        {"a change too many", with(2, count + 1, 4)},
        {"a change too few", with(2, count - 1, 4)},
        {"four billion changes", with(2, UINT32_MAX, 4)},
        {"nothing", {}},
    };
    for (const auto& [what, bytes] : bad) EXPECT_FALSE(payload.Decode(bytes).ok()) << what;
    for (size_t size = 0; size < payload.bytes.size(); size += 1 + size / 16)
      EXPECT_FALSE(payload.Decode({payload.bytes.begin(), payload.bytes.begin() + static_cast<long>(size)}).ok());
    test::Random random(6);
    size_t refused = 0;
    for (int i = 0; i < 300; ++i) {
      Bytes changed = payload.bytes;
      changed[random.Below(changed.size())] ^= static_cast<std::byte>(1U << random.Below(8));
      refused += !payload.Decode(changed).ok();
    }
    // The others are bits on which nothing depends, as in zstd's headers.
    EXPECT_GT(refused, 240U);
  }
}

TEST(SparseGaps, RiceCodesOfAnyGapAndParameterRoundTrip) {
  const std::vector<uint32_t> places = {0, 1, 5, 70, 71, 100000, 262143};
  for (uint8_t k = 0; k <= kMaxRice; ++k) {
    Bytes bytes(RiceBytes(places, k));
    WriteRice(places, k, bytes.data());
    std::vector<uint32_t> read(places.size());
    Result<size_t> used = ReadRice(bytes, k, 262144, read);
    ASSERT_THAT(used, IsOk());
    EXPECT_EQ(used.value(), bytes.size());
    EXPECT_EQ(read, places);
    EXPECT_THAT(ReadRice(bytes, k, 262143, read), FailsWith(ErrorCode::kCorrupt));
    EXPECT_THAT(ReadRice(ByteSpan(bytes).first(bytes.size() - 1), k, 262144, read), FailsWith(ErrorCode::kCorrupt));
  }
}

}  // namespace
}  // namespace flyweight
