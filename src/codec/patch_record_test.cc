#include "codec/patch_record.h"

#include <gtest/gtest.h>

#include "codec/codec_id.h"
#include "codec/patch_test_tools.h"
#include "support/random.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::BasePlace;
using test::Bytes;
using test::EncodedPatch;
using test::FailsWith;
using test::IsOk;
using test::PatchInput;

constexpr BasePlace kPlaces[] = {BasePlace::kApart, BasePlace::kInTarget};

template <typename Word>
Bytes Words(size_t count, uint64_t seed) {
  test::Random random(seed);
  Bytes bytes(count * sizeof(Word));
  for (size_t i = 0; i < count; ++i) {
    double value = 0.05 * random.Gaussian();
    auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
    if constexpr (sizeof(Word) == 8) StoreLe(bytes.data() + i * 8, std::bit_cast<uint64_t>(value));
    if constexpr (sizeof(Word) == 4) StoreLe(bytes.data() + i * 4, bits);
    if constexpr (sizeof(Word) == 2) StoreLe(bytes.data() + i * 2, static_cast<uint16_t>(bits >> 16));
    if constexpr (sizeof(Word) == 1) StoreLe(bytes.data() + i, static_cast<uint8_t>(bits >> 24));
  }
  return bytes;
}

// Moves every `step`-th word by up to `reach`.
template <typename Word>
Bytes Moved(Bytes bytes, size_t step, uint64_t reach, uint64_t seed = 9) {
  test::Random random(seed);
  for (size_t i = 0; i + sizeof(Word) <= bytes.size(); i += sizeof(Word)) {
    if (random.Below(step) != 0) continue;
    auto word = LoadLe<Word>(bytes.data() + i);
    StoreLe(bytes.data() + i, static_cast<Word>(word + random.Below(2 * reach + 1) - reach));
  }
  return bytes;
}

EncodedPatch Encode(const PatchInput& input) {
  CodecScratch scratch;
  Result<EncodedPatch> record = test::EncodePatch(input, scratch);
  EXPECT_THAT(record, IsOk());
  return std::move(record).value();
}

void ExpectRoundTrip(const EncodedPatch& record, const Bytes& content, const Bytes& base) {
  for (BasePlace place : kPlaces) {
    CodecScratch scratch;
    Result<Bytes> decoded = test::DecodePatch(record, base, place, scratch);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == content);
  }
}

TEST(PatchRecord, RestoresEveryDTypeInAndOutOfPlace) {
  struct Case {
    DType dtype;
    Bytes base, content;
  };
  const Bytes one = Words<uint8_t>(300000, 1), two = Words<uint16_t>(300000, 2), four = Words<uint32_t>(300000, 3),
              eight = Words<uint64_t>(30000, 4);
  const Case cases[] = {
      {DType::kOpaque, one, Moved<uint8_t>(one, 20, 3)},   {DType::kU8, one, Moved<uint8_t>(one, 20, 3)},
      {DType::kF8E4M3, one, Moved<uint8_t>(one, 5, 1)},    {DType::kF4, one, Moved<uint8_t>(one, 5, 1)},
      {DType::kI16, two, Moved<uint16_t>(two, 5, 9)},      {DType::kF16, two, Moved<uint16_t>(two, 5, 9)},
      {DType::kBF16, two, Moved<uint16_t>(two, 5, 2)},     {DType::kF32, four, Moved<uint32_t>(four, 2, 90)},
      {DType::kI32, four, Moved<uint32_t>(four, 2, 90)},   {DType::kC64, four, Moved<uint32_t>(four, 2, 90)},
      {DType::kF64, eight, Moved<uint64_t>(eight, 2, 90)}, {DType::kI64, eight, Moved<uint64_t>(eight, 2, 90)},
      {DType::kGgmlQ80, one, Moved<uint8_t>(one, 20, 3)},
  };
  for (const Case& c : cases) {
    EncodedPatch record = Encode({c.content, c.dtype, c.base, c.dtype});
    SCOPED_TRACE(Describe(c.dtype).name);
    EXPECT_LT(record.size_bytes(), c.content.size() / 2);
    ExpectRoundTrip(record, c.content, c.base);
  }
}

TEST(PatchRecord, OfTheBaseItselfTakesSomeBytesAChunk) {
  const Bytes base = Words<uint16_t>(600000, 1);
  EncodedPatch record = Encode({base, DType::kBF16, base});
  for (const Bytes& frame : record.frames) EXPECT_EQ(test::CodecOf(frame), 64);
  EXPECT_LT(record.size_bytes(), 300U);
  EXPECT_LT(record.estimated_bytes, 300U);
  ExpectRoundTrip(record, base, base);
}

TEST(PatchRecord, OfAnotherTensorIsHardlyLargerThanTheTensor) {
  const Bytes base = Words<uint16_t>(300000, 1), content = Words<uint16_t>(300000, 2);
  EncodedPatch record = Encode({content, DType::kBF16, base});
  EXPECT_LT(record.size_bytes(), content.size() + 200);
  ExpectRoundTrip(record, content, base);
}

TEST(PatchRecord, AChunkThatIsSmallAloneNeedsNoBase) {
  // The base ends in the second chunk, which so has places that changed and places that did not.
  const Bytes base = Words<uint8_t>(300007, 1), zeros(700000, std::byte{0});
  test::Random random(2);
  Bytes rows(524288);
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = i < 32768 ? std::byte(random.Below(256)) : rows[i - 32768];
  EncodedPatch constant = Encode({zeros, DType::kU8, base, DType::kU8});
  EXPECT_LT(constant.size_bytes(), 300U);
  ExpectRoundTrip(constant, zeros, base);
  Bytes nearly = Moved<uint8_t>(rows, 2, 40);
  EncodedPatch repeated = Encode({rows, DType::kU8, nearly, DType::kU8});
  EXPECT_LT(repeated.size_bytes(), 80000U);
  ExpectRoundTrip(repeated, rows, nearly);
}

TEST(PatchRecord, DenseSideInformationThatNoChunkUsesIsNotInTheHead) {
  test::Random random(5);
  const Bytes base = test::MakeTensor(DType::kBF16, 1500, 400, test::Pattern::kWeights, random);
  Bytes content = base;
  for (size_t i = 0; i < content.size(); i += 2) {
    if (random.Below(5) == 0) content[i] ^= std::byte{1};
  }
  EncodedPatch record = Encode({content, DType::kBF16, base, DType::kBF16, {1500, 400}});
  for (const Bytes& frame : record.frames) EXPECT_NE(test::CodecOf(frame), 65);
  EXPECT_LT(record.plan.head_bytes.size(), 200U);
  EXPECT_NEAR(static_cast<double>(record.estimated_bytes), static_cast<double>(record.size_bytes()),
              0.02 * static_cast<double>(record.size_bytes()));
  ExpectRoundTrip(record, content, base);
}

TEST(PatchRecord, BasesMayBeShorterOrLongerOrEmpty) {
  const Bytes content = Words<uint16_t>(600000, 1);
  for (size_t base_words : {size_t{0}, size_t{1}, size_t{262144}, size_t{300000}, size_t{599999}, size_t{700000}}) {
    Bytes base = Moved<uint16_t>(content, 7, 1);
    base.resize(2 * base_words, std::byte{0x3C});
    EncodedPatch record = Encode({content, DType::kBF16, base});
    ExpectRoundTrip(record, content, base);
    EXPECT_EQ(PatchBaseOf(record.plan.head)->size_bytes, base.size());
  }
}

TEST(PatchRecord, TinyAndEmptyTensorsRoundTrip) {
  for (size_t words : {0, 1, 3, 4, 5, 63, 64, 65, 1000}) {
    const Bytes base = Words<uint32_t>(words, 1), content = Moved<uint32_t>(base, 2, 4);
    ExpectRoundTrip(Encode({content, DType::kF32, base, DType::kF32}), content, base);
  }
}

TEST(PatchRecord, AnotherBaseIsRefusedBeforeTheTargetIsTouched) {
  const Bytes base = Words<uint16_t>(5000, 1), content = Moved<uint16_t>(base, 9, 1);
  for (const Bytes& patched : {content, base}) {
    EncodedPatch record = Encode({patched, DType::kBF16, base});
    ASSERT_GE(test::CodecOf(record.frames[0]), 64);
    for (const Bytes& wrong :
         {Moved<uint16_t>(base, 4999, 1), content == patched ? content : Moved<uint16_t>(base, 2, 1)}) {
      if (wrong == base) continue;
      CodecScratch scratch;
      Bytes apart(content.size(), std::byte{0x77}), in_place = wrong;
      const Bytes before = apart;
      EXPECT_THAT(DecodePatchFrame(record.plan.head, 0, record.frames[0], record.frames[0].size(), record.table[0],
                                   wrong, apart, scratch),
                  FailsWith(ErrorCode::kWrongBase));
      EXPECT_TRUE(apart == before);
      EXPECT_THAT(DecodePatchFrame(record.plan.head, 0, record.frames[0], record.frames[0].size(), record.table[0],
                                   in_place, in_place, scratch),
                  FailsWith(ErrorCode::kWrongBase));
      EXPECT_TRUE(in_place == wrong);
    }
  }
}

TEST(PatchRecord, WithoutItsBaseItIsRefusedAndDamageIsCalledDamage) {
  const Bytes base = Words<uint16_t>(5000, 1), content = Moved<uint16_t>(base, 9, 1);
  EncodedPatch record = Encode({content, DType::kBF16, base});
  CodecScratch scratch;
  Bytes target(content.size());
  EXPECT_THAT(
      DecodeFrame(record.plan.head, 0, record.frames[0], record.frames[0].size(), record.table[0], target, scratch),
      FailsWith(ErrorCode::kWrongBase));
  Bytes damaged = record.frames[0];
  damaged[kFrameHeaderBytes] ^= std::byte{1};  // of the base's checksum
  EXPECT_THAT(DecodePatchFrame(record.plan.head, 0, damaged, damaged.size(), record.table[0], base, target, scratch),
              FailsWith(ErrorCode::kChecksumMismatch));
}

TEST(PatchRecord, RecordsThatAreNoPatchesDecodeAsEver) {
  const Bytes content = Words<uint16_t>(5000, 1);
  CodecScratch scratch;
  Result<test::EncodedRecord> record = test::EncodeRecord(content, DType::kBF16, {}, scratch);
  ASSERT_THAT(record, IsOk());
  EXPECT_FALSE(PatchBaseOf(record.value().plan.head).has_value());
  Bytes target(content.size());
  const Bytes& frame = record.value().frames[0];
  EXPECT_THAT(
      DecodePatchFrame(record.value().plan.head, 0, frame, frame.size(), record.value().table[0], {}, target, scratch),
      IsOk());
  EXPECT_TRUE(target == content);
}

TEST(PatchRecord, ABaseOfWiderElementsIsNoBase) {
  const Bytes base = Words<uint32_t>(5000, 1), content = Words<uint64_t>(5000, 1);
  EXPECT_EQ(Encode({content, DType::kI64, base, DType::kF32}).estimated_bytes, kNoPatchBytes);
}

}  // namespace
}  // namespace flyweight
