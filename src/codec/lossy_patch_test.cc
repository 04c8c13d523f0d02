#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "codec/codec_id.h"
#include "codec/lossy_patch_record.h"
#include "codec/patch_test_tools.h"
#include "lossy/delta_steps.h"
#include "simd/isa.h"
#include "support/weights.h"

namespace flyweight::test {
namespace {

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};
constexpr BasePlace kPlaces[] = {BasePlace::kApart, BasePlace::kInTarget};
constexpr size_t kFrontOffset = kFrameHeaderBytes + 8;

std::vector<float> ValuesOf(DType dtype, ByteSpan content) {
  std::vector<float> values(content.size() / (dtype == DType::kF32 ? 4 : 2));
  LoadDeltaValues(dtype, content.data(), values.size(), values.data());
  return values;
}

// A tune of a base: each element moved by about `scale`, rows and columns by more or less.
Bytes Tuned(DType dtype, ByteSpan base, size_t columns, double scale, uint64_t seed = 7) {
  Random random(seed);
  const size_t element_bytes = dtype == DType::kF32 ? 4 : 2;
  Bytes tuned(base.begin(), base.end());
  std::vector<int32_t> numbers(base.size() / element_bytes);
  for (size_t i = 0; i < numbers.size(); ++i) {
    double row = std::exp2(static_cast<double>(i / columns % 7) - 3);
    numbers[i] = static_cast<int32_t>(1000 * row * random.Gaussian());
  }
  AddDeltaSteps(dtype, numbers.data(), numbers.size(), static_cast<float>(scale / 1000), tuned.data());
  return tuned;
}

struct LossyPatch {
  EncodedPatch record;
  Bytes restored;
};

LossyPatch Encode(const PatchInput& input, const LossyDeltaChoice& choice) {
  CodecScratch scratch;
  LossyPatch result;
  MemorySource content(input.content), base(input.base);
  auto plan = PlanLossyPatchRecord(content, 0, input.content.size(), input.dtype, input.shape, base, 0,
                                   input.base.size(), input.base_dtype, choice, scratch);
  EXPECT_THAT(plan, IsOk());
  result.record.estimated_bytes = plan.value().estimated_bytes;
  result.record.plan = std::move(plan.value().record);
  const RecordHead& head = result.record.plan.head;
  result.restored.resize(input.content.size());
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    ByteSpan chunk = ChunkOf(head, input.content, i);
    ByteSpan base_chunk = BaseChunkOf(head, input.base, i);
    Bytes frame(FrameBound(chunk.size()));
    MutableByteSpan restored = MutableByteSpan(result.restored).subspan(i * head.chunk_bytes, chunk.size());
    result.record.table.push_back(
        EncodeLossyPatchFrame(result.record.plan, i, chunk, base_chunk, frame, restored, scratch).entry);
    frame.resize(result.record.table.back().frame_bytes);
    result.record.frames.push_back(std::move(frame));
  }
  return result;
}

void ExpectRestores(const LossyPatch& patch, ByteSpan base) {
  for (BasePlace place : kPlaces) {
    CodecScratch scratch;
    Result<Bytes> decoded = DecodePatch(patch.record, base, place, scratch);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_TRUE(decoded.value() == patch.restored);
  }
}

double RelativeError(DType dtype, ByteSpan tuned, ByteSpan base, ByteSpan restored) {
  return std::sqrt(SquaredDistance(dtype, tuned, restored) / SquaredDistance(dtype, tuned, base));
}

LossyDeltaChoice Uniform(float step) { return {DeltaMethod::kUniform, step, 0}; }
LossyDeltaChoice Int4(double exact) { return {DeltaMethod::kInt4, 0, exact}; }
LossyDeltaChoice Sparse(double exact) { return {DeltaMethod::kSparse, 0, exact}; }
LossyDeltaChoice OneBit() { return {DeltaMethod::kOneBit, 0, 0}; }

const LossyDeltaChoice kChoices[] = {Uniform(1e-3F), Uniform(1e-5F), Int4(0.01), Int4(0),
                                     Sparse(0.1),    Sparse(0),      OneBit()};

TEST(LossyPatch, GivesWhatItSaidItWould) {
  for (DType dtype : kTypes) {
    for (auto [rows, columns] : {std::pair{1, 1}, {1, 700}, {3, 5}, {20, 64}, {100, 333}, {900, 320}}) {
      Random random(1);
      const auto row_count = static_cast<size_t>(rows), column_count = static_cast<size_t>(columns);
      Bytes base = MakeTensor(dtype, row_count, column_count, Pattern::kWeights, random);
      Bytes tuned = Tuned(dtype, base, column_count, 1e-3);
      for (const LossyDeltaChoice& choice : kChoices) {
        LossyPatch patch = Encode({tuned, dtype, base, dtype, {row_count, column_count}}, choice);
        ExpectRestores(patch, base);
        EXPECT_TRUE(IsLossyPatch(ParseRecordHead(patch.record.plan.head_bytes).value()));
      }
    }
  }
}

TEST(LossyPatch, NoElementIsFurtherThanOneAndAHalfSteps) {
  Random random(2);
  Bytes base = MakeTensor(DType::kF32, 300, 512, Pattern::kWeights, random);
  Bytes tuned = Tuned(DType::kF32, base, 512, 1e-3);
  for (float step : {1e-2F, 1e-3F, 1e-4F, 1e-6F, 1e-9F}) {
    LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {300, 512}}, Uniform(step));
    ExpectRestores(patch, base);
    std::vector<float> a = ValuesOf(DType::kF32, tuned), b = ValuesOf(DType::kF32, patch.restored);
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_LE(std::fabs(a[i] - b[i]), 1.5F * step + std::fabs(a[i]) * 0x1p-22F) << i << " step " << step;
  }
}

TEST(LossyPatch, FinerStepsTakeMoreAndLoseLess) {
  Random random(3);
  Bytes base = MakeTensor(DType::kF32, 400, 512, Pattern::kWeights, random);
  Bytes tuned = Tuned(DType::kF32, base, 512, 1e-3);
  double last_error = 1.1;
  size_t last_size = 0;
  for (float step : {3e-2F, 3e-3F, 3e-4F, 3e-5F}) {
    LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {400, 512}}, Uniform(step));
    double error = RelativeError(DType::kF32, tuned, base, patch.restored);
    EXPECT_LT(error, last_error);
    EXPECT_GT(patch.record.size_bytes(), last_size);
    last_error = error;
    last_size = patch.record.size_bytes();
  }
  EXPECT_LT(last_error, 0.01);
}

// Gaussian differences whose rows differ in scale by known amounts: the rate that theory gives for the error, plus 4 %.
TEST(LossyPatch, ComesNearToTheEntropyOfRows) {
  Random random(4);
  Bytes base = MakeTensor(DType::kF32, 1024, 1024, Pattern::kPlainGaussian, random);
  Bytes tuned = Tuned(DType::kF32, base, 1024, 1e-3);
  const float step = 2e-3F;
  LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {1024, 1024}}, Uniform(step));
  double bits = 0;
  for (int row = 0; row < 7; ++row) {
    const double sigma = 1e-3 * std::exp2(row - 3);
    for (int number = -400; number <= 400; ++number) {
      double below = std::erf((number - 0.5) * step / sigma / std::sqrt(2.0));
      double p = (std::erf((number + 0.5) * step / sigma / std::sqrt(2.0)) - below) / 2;
      if (p > 1e-12) bits -= p * std::log2(p) / 7;
    }
  }
  EXPECT_LT(static_cast<double>(patch.record.size_bytes()) * 8, 1.04 * bits * 1024 * 1024);
  EXPECT_LT(static_cast<double>(patch.record.estimated_bytes), 1.05 * static_cast<double>(patch.record.size_bytes()));
  EXPECT_GT(static_cast<double>(patch.record.estimated_bytes), 0.95 * static_cast<double>(patch.record.size_bytes()));
}

TEST(LossyPatch, SpecialElementsComeBackAsTheyWere) {
  for (DType dtype : kTypes) {
    for (Pattern pattern : {Pattern::kSpecials, Pattern::kNanPayloads, Pattern::kInfinities, Pattern::kRandomBits,
                            Pattern::kWideExponents, Pattern::kDenormals, Pattern::kNegativeZeros}) {
      Random random(5);
      Bytes base = MakeTensor(dtype, 60, 70, Pattern::kWeights, random);
      Bytes special = MakeTensor(dtype, 60, 70, pattern, random);
      for (const LossyDeltaChoice& choice : kChoices) {
        SCOPED_TRACE(PatternName(pattern));
        for (auto [tune, from] : {std::pair{&special, &base}, {&base, &special}, {&special, &special}}) {
          LossyPatch patch = Encode({*tune, dtype, *from, dtype, {60, 70}}, choice);
          ExpectRestores(patch, *from);
          std::vector<float> a = ValuesOf(dtype, *tune), b = ValuesOf(dtype, patch.restored);
          for (size_t i = 0; i < a.size(); ++i) {
            ASSERT_EQ(std::isnan(a[i]), std::isnan(b[i])) << i;
            if (std::isinf(a[i])) {
              ASSERT_EQ(a[i], b[i]) << i;
            }
            if (!std::isinf(a[i]) && !std::isnan(a[i])) {
              ASSERT_TRUE(std::isfinite(b[i])) << i;
            }
          }
        }
      }
    }
  }
}

TEST(LossyPatch, OfTheBaseItselfIsExactAndTakesNearlyNothing) {
  Random random(6);
  Bytes base = MakeTensor(DType::kBF16, 600, 500, Pattern::kSpecials, random);
  for (const LossyDeltaChoice& choice : kChoices) {
    LossyPatch patch = Encode({base, DType::kBF16, base, DType::kBF16, {600, 500}}, choice);
    EXPECT_TRUE(patch.restored == base);
    EXPECT_LT(patch.record.size_bytes(), 3000U);
  }
}

TEST(LossyPatch, SparseKeepsTheLargestDifferencesExactly) {
  Random random(7);
  Bytes base = MakeTensor(DType::kF32, 200, 300, Pattern::kWeights, random);
  Bytes tuned = Tuned(DType::kF32, base, 300, 1e-3);
  LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {200, 300}}, Sparse(0.1));
  std::vector<float> a = ValuesOf(DType::kF32, tuned), b = ValuesOf(DType::kF32, base),
                     r = ValuesOf(DType::kF32, patch.restored);
  size_t kept = 0;
  float smallest_kept = INFINITY, largest_left = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    ASSERT_TRUE(r[i] == a[i] || r[i] == b[i]);
    if (r[i] == a[i] && a[i] != b[i]) {
      ++kept;
      smallest_kept = std::min(smallest_kept, difference);
    } else {
      largest_left = std::max(largest_left, difference);
    }
  }
  EXPECT_EQ(kept, 6000U);
  EXPECT_GE(smallest_kept, largest_left);
  LossyPatch whole = Encode({tuned, DType::kF32, base, DType::kF32, {200, 300}}, Sparse(1));
  EXPECT_TRUE(whole.restored == tuned);
}

TEST(LossyPatch, Int4KeepsOutliersExactlyAndOthersWithinHalfAStep) {
  Random random(8);
  Bytes base = MakeTensor(DType::kF32, 200, 300, Pattern::kWeights, random);
  Bytes tuned = Tuned(DType::kF32, base, 300, 1e-3);
  LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {200, 300}}, Int4(0.02));
  std::vector<float> a = ValuesOf(DType::kF32, tuned), b = ValuesOf(DType::kF32, base),
                     r = ValuesOf(DType::kF32, patch.restored);
  std::vector<float> sizes;
  for (size_t i = 0; i < a.size(); ++i) sizes.push_back(std::fabs(a[i] - b[i]));
  std::sort(sizes.begin(), sizes.end());
  const float reach = sizes[sizes.size() - 1200];
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::fabs(a[i] - b[i]) >= reach) {
      ASSERT_EQ(r[i], a[i]);
    }
    ASSERT_LE(std::fabs(r[i] - a[i]), reach / 15 * 1.001F + std::fabs(a[i]) * 0x1p-22F);
  }
}

TEST(LossyPatch, OneBitMovesEachElementByTheMeanOfItsRow) {
  Random random(9);
  Bytes base = MakeTensor(DType::kF32, 40, 100, Pattern::kZeros, random);
  Bytes tuned = Tuned(DType::kF32, base, 100, 1e-3);
  LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {40, 100}}, OneBit());
  std::vector<float> a = ValuesOf(DType::kF32, tuned), r = ValuesOf(DType::kF32, patch.restored);
  for (size_t row = 0; row < 40; ++row) {
    double mean = 0;
    for (size_t j = 0; j < 100; ++j) mean += std::fabs(a[row * 100 + j]) / 100;
    for (size_t j = 0; j < 100; ++j) {
      const size_t i = row * 100 + j;
      EXPECT_NEAR(r[i], a[i] < 0 ? -mean : a[i] > 0 ? mean : 0, mean / 200);
    }
  }
  // A bit an element and what rows and head take.
  EXPECT_LT(patch.record.size_bytes(), 40U * 100 / 8 + 40 * 2 + 220);
}

TEST(LossyPatch, TinyDifferencesAreAsGoodAsLargeOnes) {
  Random random(10);
  Bytes base = MakeTensor(DType::kF32, 100, 200, Pattern::kZeros, random);
  for (double scale : {1e-3, 1e-7, 1e-20, 1e-36}) {
    Bytes tuned = Tuned(DType::kF32, base, 200, scale);
    for (auto [choice, most] : {std::pair{Int4(0.01), 0.3}, {OneBit(), 0.7}, {Sparse(0.5), 0.3}}) {
      LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {100, 200}}, choice);
      EXPECT_LT(RelativeError(DType::kF32, tuned, base, patch.restored), most) << scale;
    }
  }
}

TEST(LossyPatch, BasesMayBeShorterOrLonger) {
  Random random(11);
  Bytes content = MakeTensor(DType::kF32, 700, 500, Pattern::kWeights, random);
  for (size_t elements : {0U, 1U, 262144U, 300000U, 400000U}) {
    Bytes base = Tuned(DType::kF32, content, 500, 1e-4);
    base.resize(4 * elements);
    LossyPatch patch = Encode({content, DType::kF32, base, DType::kF32, {700, 500}}, Uniform(1e-4F));
    ExpectRestores(patch, base);
    EXPECT_LT(SquaredDistance(DType::kF32, content, patch.restored), 350000 * 1.5e-4 * 1.5e-4);
  }
}

TEST(LossyPatch, IsTheSameOnEveryInstructionSet) {
  Random random(12);
  Bytes base = MakeTensor(DType::kF32, 400, 700, Pattern::kWeights, random);
  Bytes tuned = Tuned(DType::kF32, base, 700, 1e-3);
  for (const LossyDeltaChoice& choice : kChoices) {
    ASSERT_TRUE(ForceIsa(Isa::kScalar));
    LossyPatch expected = Encode({tuned, DType::kF32, base, DType::kF32, {400, 700}}, choice);
    for (Isa isa : SupportedIsas()) {
      ASSERT_TRUE(ForceIsa(isa));
      LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {400, 700}}, choice);
      EXPECT_EQ(patch.record.frames, expected.record.frames) << IsaName(isa);
      EXPECT_EQ(patch.record.plan.head_bytes, expected.record.plan.head_bytes);
      ExpectRestores(expected, base);
    }
    ForceIsa(std::nullopt);
  }
}

TEST(LossyPatch, IsNotMadeOfTypesThatItCannotHold) {
  CodecScratch scratch;
  Bytes content(512);
  for (DType dtype : {DType::kF64, DType::kU8, DType::kI32, DType::kC64, DType::kF8E4M3, DType::kOpaque}) {
    MemorySource source{ByteSpan(content)};
    auto plan = PlanLossyPatchRecord(source, 0, 512, dtype, {}, source, 0, 512, dtype, Uniform(1), scratch);
    ASSERT_THAT(plan, IsOk());
    EXPECT_EQ(plan.value().estimated_bytes, kNoPatchBytes);
  }
}

TEST(LossyPatch, AnotherBaseIsToldFromDamageAndNothingIsWritten) {
  Random random(13);
  Bytes base = MakeTensor(DType::kF32, 50, 60, Pattern::kWeights, random);
  Bytes tuned = Tuned(DType::kF32, base, 60, 1e-3);
  LossyPatch patch = Encode({tuned, DType::kF32, base, DType::kF32, {50, 60}}, Uniform(1e-4F));
  base[77] ^= std::byte{1};
  CodecScratch scratch;
  const Bytes before(tuned.size(), std::byte{0x5A});
  Bytes target = before;
  const Bytes& frame = patch.record.frames[0];
  EXPECT_THAT(
      DecodePatchFrame(patch.record.plan.head, 0, frame, frame.size(), patch.record.table[0], base, target, scratch),
      FailsWith(ErrorCode::kWrongBase));
  EXPECT_TRUE(target == before);
}

class HostileLossyPatch : public ::testing::Test {
 protected:
  HostileLossyPatch() {
    Random random(14);
    base = MakeTensor(DType::kF32, 100, 64, Pattern::kWeights, random);
    tuned = Tuned(DType::kF32, base, 64, 1e-3);
  }
  LossyPatch Make(const LossyDeltaChoice& choice) {
    return Encode({tuned, DType::kF32, base, DType::kF32, {100, 64}}, choice);
  }
  Status Decode(const LossyPatch& patch, Bytes frame) {
    CodecScratch scratch;
    FixFrame(frame);
    auto decoded =
        DecodePatchChunkOf(patch.record.plan.head, 0, frame, EntryOf(frame), base, BasePlace::kApart, scratch);
    return decoded.ok() ? Status::Ok() : Status(decoded.error());
  }
  Bytes base, tuned;
};

TEST_F(HostileLossyPatch, EveryImpossibleFieldOfTheHeadIsRefused) {
  struct Case {
    const char* what;
    size_t from_side;  ///< behind the fields of the patch
    std::vector<uint8_t> bytes;
  };
  const Case kCases[] = {
      {"unknown mode", 0, {14}},
      {"no method", 1, {0}},
      {"reserved", 3, {1}},
      {"a step that is no number", 4, {0, 0, 0xC0, 0x7F}},
      {"an infinite step", 4, {0, 0, 0x80, 0x7F}},
      {"a negative step", 7, {0xBA}},
      {"a step beside those of rows", 0, {7}},
      {"columns without any", 8, {0, 0, 0, 0}},
      {"too many columns", 8, {1, 0, 16, 0}},
      {"more columns than classes", 8, {65}},
      {"no classes though there are", 0, {2}},
  };
  LossyPatch patch = Make(Uniform(1e-4F));
  const Bytes& head = patch.record.plan.head_bytes;
  ASSERT_THAT(ParseRecordHead(head), IsOk());
  // The step tells where the fields are.
  size_t side = 0;
  for (size_t at = 32; at + 4 <= head.size() && side == 0; ++at) {
    if (LoadLe<uint32_t>(head.data() + at) == std::bit_cast<uint32_t>(1e-4F)) side = at - 4;
  }
  ASSERT_NE(side, 0U);
  for (const Case& broken : kCases) {
    Bytes changed = head;
    for (size_t i = 0; i < broken.bytes.size(); ++i)
      changed[side + broken.from_side + i] = static_cast<std::byte>(broken.bytes[i]);
    FixHead(changed);
    EXPECT_FALSE(ParseRecordHead(changed).ok()) << broken.what;
  }
  Bytes other = head;
  other[8] = std::byte{13};  // F64
  FixHead(other);
  EXPECT_FALSE(ParseRecordHead(other).ok());
  for (size_t size = 40; size < head.size(); ++size) {
    Bytes cut(head.begin(), head.begin() + static_cast<ptrdiff_t>(size));
    FixHead(cut);
    EXPECT_FALSE(ParseRecordHead(cut).ok()) << size;
  }
}

TEST_F(HostileLossyPatch, ImpossiblePayloadsAreRefused) {
  struct Case {
    const char* what;
    LossyDeltaChoice choice;
    size_t offset;  ///< behind the checksum of the base
    std::vector<uint8_t> bytes;
  };
  const Case kCases[] = {
      {"an exact element too many", Int4(0.01), 0, {65}},
      {"an exact element too few", Int4(0.01), 0, {63}},
      {"exact elements without bytes", Int4(0.01), 4, {0, 0, 0, 0}},
      {"exact elements beyond the end", Int4(0.01), 4, {0, 0, 0, 1}},
      {"bytes without exact elements", Uniform(1e-4F), 4, {1}},
      {"unknown method of the plane of classes", Uniform(1e-4F), 8, {200}},
      {"classes beyond the end", Uniform(1e-4F), 9, {255, 255}},
      {"unknown method of the plane of steps", OneBit(), 8, {200}},
  };
  for (const Case& broken : kCases) {
    LossyPatch patch = Make(broken.choice);
    Bytes frame = patch.record.frames[0];
    ASSERT_EQ(CodecOf(frame), 137) << broken.what;
    ASSERT_THAT(Decode(patch, frame), IsOk());
    for (size_t i = 0; i < broken.bytes.size(); ++i)
      frame[kFrontOffset + broken.offset + i] = static_cast<std::byte>(broken.bytes[i]);
    EXPECT_FALSE(Decode(patch, frame).ok()) << broken.what;
  }
}

TEST_F(HostileLossyPatch, StepsOfRowsMustBeNumbers) {
  Bytes zeros(4 * 200), moved(4 * 200);
  for (size_t i = 0; i < 200; ++i) StoreLe(moved.data() + 4 * i, i % 2 == 0 ? 1.0F : -1.0F);
  LossyPatch patch = Encode({moved, DType::kF32, zeros, DType::kF32, {1, 200}}, OneBit());
  EXPECT_TRUE(patch.restored == moved);
  base = zeros;
  Bytes frame = patch.record.frames[0];
  // The step 1.0, rotated: a plane of 0x00 and one of 0x7F. With 0xFF in both it is a NaN.
  ASSERT_EQ(CodecOf(frame), 137);
  for (uint8_t low : {uint8_t{0}, uint8_t{1}}) {
    Bytes broken = frame;
    broken[kFrontOffset + 8 + 5] = static_cast<std::byte>(low);
    broken[kFrontOffset + 8 + 6 + 5] = std::byte{0xFF};
    EXPECT_THAT(Decode(patch, broken), FailsWith(ErrorCode::kCorrupt)) << int{low};
  }
}

TEST_F(HostileLossyPatch, StandsInItsOwnRecordsOnly) {
  LossyPatch patch = Make(Uniform(1e-4F));
  CodecScratch scratch;
  auto exact = EncodePatch({tuned, DType::kF32, base, DType::kF32, {100, 64}}, scratch);
  ASSERT_THAT(exact, IsOk());
  const Bytes& frame = patch.record.frames[0];
  EXPECT_THAT(DecodePatchChunkOf(exact.value().plan.head, 0, frame, EntryOf(frame), base, BasePlace::kApart, scratch),
              FailsWith(ErrorCode::kUnsupportedFeature));
  for (int codec : {4, 5, 6, 7, 8, 9, 10, 128, 132, 136, 138, 255}) {
    Bytes other = frame;
    other[4] = static_cast<std::byte>(codec);
    EXPECT_FALSE(Decode(patch, other).ok()) << codec;
  }
}

TEST_F(HostileLossyPatch, CutOrFlippedPayloadsAreNoticed) {
  for (const LossyDeltaChoice& choice : kChoices) {
    LossyPatch patch = Make(choice);
    const Bytes& frame = patch.record.frames[0];
    for (size_t size = kFrameHeaderBytes; size < frame.size(); size += 1 + size / 50) {
      Bytes cut(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_FALSE(Decode(patch, cut).ok()) << size;
    }
    Random random(15);
    for (int round = 0; round < 300; ++round) {
      Bytes flipped = frame;
      const size_t bit = 8 * kFrameHeaderBytes + random.Below(8 * (frame.size() - kFrameHeaderBytes));
      flipped[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      CodecScratch scratch;
      FixFrame(flipped);
      auto decoded =
          DecodePatchChunkOf(patch.record.plan.head, 0, flipped, EntryOf(flipped), base, BasePlace::kInTarget, scratch);
      // The checksum of the decoded bytes is that of what went in: what it lets pass is that.
      if (decoded.ok()) {
        EXPECT_TRUE(decoded.value() == patch.restored);
      }
    }
  }
}

}  // namespace
}  // namespace flyweight::test
