#include "lossy/quantise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "lossy/error_sums.h"
#include "simd/isa.h"
#include "support/weights.h"

namespace flyweight::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Bytes = std::vector<std::byte>;

const LossyChoice kF16{LossyMethod::kF16, 16, false, 0};
const LossyChoice kBF16{LossyMethod::kBF16, 16, false, 0};

LossyChoice Blocks(uint8_t bits, bool has_minimum, uint32_t block = 64) {
  return {LossyMethod::kBlocks, bits, has_minimum, block};
}

std::vector<LossyChoice> AllChoices() {
  std::vector<LossyChoice> choices = {kF16, kBF16};
  for (uint8_t bits = kLossyMinBits; bits <= kLossyMaxBits; ++bits) {
    for (bool has_minimum : {false, true}) {
      for (uint32_t block : {kLossyMinBlock, kLossyDefaultBlock, kLossyMaxBlock})
        choices.push_back(Blocks(bits, has_minimum, block));
    }
  }
  return choices;
}

Bytes Restored(const LossyChoice& choice, DType dtype, const Bytes& chunk) {
  Bytes restored(chunk.size(), std::byte{0xA5});
  RestoreChunk(choice, dtype, chunk, restored);
  return restored;
}

template <typename T>
Bytes AsElements(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> RestoredFloats(const LossyChoice& choice, const std::vector<float>& values) {
  Bytes restored = Restored(choice, DType::kF32, AsElements(values));
  std::vector<float> floats(values.size());
  std::memcpy(floats.data(), restored.data(), restored.size());
  return floats;
}

TEST(Quantise, KeepsWhatEachMethodPromises) {
  Random random(1);
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    for (Pattern pattern : {Pattern::kWeights, Pattern::kPlainGaussian, Pattern::kSparse, Pattern::kQuantised,
                            Pattern::kConstant, Pattern::kZeros, Pattern::kNegativeZeros, Pattern::kDenormals}) {
      Bytes chunk = MakeTensor(dtype, 83, 101, pattern, random);  // neither blocks nor strips are whole
      for (const LossyChoice& choice : AllChoices()) {
        if (!CanBeLossy(dtype, choice.method)) continue;
        Bytes restored = Restored(choice, dtype, chunk);
        EXPECT_TRUE(KeepsPromise(choice, dtype, chunk, restored))
            << NameOf(choice) << " " << static_cast<int>(dtype) << " " << PatternName(pattern);
        EXPECT_TRUE(MeasureErrors(dtype, chunk, restored).IsSound());
      }
    }
  }
}

TEST(Quantise, PromiseIsBrokenByOneElementThatIsAStepAway) {
  Random random(2);
  Bytes chunk = MakeTensor(DType::kF32, 8, 64, Pattern::kWeights, random);
  for (const LossyChoice& choice : {kF16, kBF16, Blocks(8, false), Blocks(4, true)}) {
    Bytes restored = Restored(choice, DType::kF32, chunk);
    float largest = 0;
    size_t at = 0;
    for (size_t i = 0; i < 512; ++i) {
      auto value = std::fabs(LoadLe<float>(chunk.data() + 4 * i));
      if (value > largest) largest = value, at = i;
    }
    StoreLe(restored.data() + 4 * at, LoadLe<float>(restored.data() + 4 * at) * 0.5F);
    EXPECT_FALSE(KeepsPromise(choice, DType::kF32, chunk, restored)) << NameOf(choice);
  }
}

TEST(Quantise, IsTheSameOnEveryInstructionSet) {
  Random random(3);
  for (DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBF16}) {
    for (Pattern pattern : {Pattern::kWeights, Pattern::kRandomBits, Pattern::kSpecials, Pattern::kDenormals}) {
      Bytes chunk = MakeTensor(dtype, 67, 131, pattern, random);
      for (const LossyChoice& choice : AllChoices()) {
        if (!CanBeLossy(dtype, choice.method)) continue;
        ASSERT_TRUE(ForceIsa(Isa::kScalar));
        Bytes expected = Restored(choice, dtype, chunk);
        ErrorSums errors = MeasureErrors(dtype, chunk, expected);
        for (Isa isa : SupportedIsas()) {
          ASSERT_TRUE(ForceIsa(isa));
          EXPECT_EQ(Restored(choice, dtype, chunk), expected) << NameOf(choice) << " " << IsaName(isa);
          ErrorSums again = MeasureErrors(dtype, chunk, expected);
          EXPECT_EQ(std::bit_cast<uint64_t>(again.squares), std::bit_cast<uint64_t>(errors.squares));
          EXPECT_EQ(again.max_abs, errors.max_abs);
          EXPECT_EQ(again.broken_count, errors.broken_count);
          EXPECT_EQ(again.largest, errors.largest);
        }
        ForceIsa(std::nullopt);
      }
    }
  }
}

TEST(Quantise, HalvesKeepEveryHalf) {
  for (DType half : {DType::kF16, DType::kBF16}) {
    LossyMethod method = half == DType::kF16 ? LossyMethod::kF16 : LossyMethod::kBF16;
    Bytes words(2 << 16);
    for (uint32_t w = 0; w < 1 << 16; ++w) StoreLe(words.data() + 2 * w, static_cast<uint16_t>(w));
    for (DType dtype : {DType::kF32, DType::kF64}) {
      Bytes wide(words.size() / 2 * (dtype == DType::kF32 ? 4 : 8));
      WidenChunk(method, dtype, words.data(), wide);
      Bytes narrow(words.size());
      NarrowChunk(method, dtype, wide, narrow.data());
      uint16_t exponent = half == DType::kF16 ? 0x7C00 : 0x7F80;
      uint16_t quiet = half == DType::kF16 ? 0x0200 : 0x0040;
      for (uint32_t w = 0; w < 1 << 16; ++w) {
        bool is_nan = (w & 0x7FFF) > exponent;
        ASSERT_EQ(LoadLe<uint16_t>(narrow.data() + 2 * w), is_nan ? (w | quiet) : w) << w;
      }
    }
  }
}

TEST(Quantise, HalvesRoundTiesToEvenAndKeepSpecialValues) {
  std::vector<float> given = {1 + 0x1p-11F, 1 + 0x3p-11F, 65504.0F, 65519.0F, 65520.0F,           kInf, -kInf, -0.0F,
                              0x1p-24F,     0x1p-25F,     0x3p-25F, 1e-10F,   0x1p-14F - 0x1p-26F};
  std::vector<float> expected = {1,     1 + 0x2p-10F, 65504, 65504,    kInf, kInf,    -kInf,
                                 -0.0F, 0x1p-24F,     0,     0x1p-23F, 0,    0x1p-14F};
  std::vector<float> restored = RestoredFloats(kF16, given);
  for (size_t i = 0; i < given.size(); ++i)
    EXPECT_EQ(std::bit_cast<uint32_t>(restored[i]), std::bit_cast<uint32_t>(expected[i])) << given[i];
  EXPECT_TRUE(std::isnan(RestoredFloats(kF16, {kNan})[0]));
  EXPECT_TRUE(std::isnan(RestoredFloats(kBF16, {std::bit_cast<float>(0x7F800001U)})[0]));
  EXPECT_EQ(RestoredFloats(kBF16, {1 + 0x1p-8F})[0], 1.0F);
  EXPECT_EQ(RestoredFloats(kBF16, {1 + 0x3p-8F})[0], 1 + 0x2p-7F);
  EXPECT_EQ(RestoredFloats(kBF16, {std::numeric_limits<float>::max()})[0], kInf);
}

TEST(Quantise, BlocksGiveTheirFormula) {
  // The largest is 3 * 127, so the scale is 3; minus zero becomes zero.
  std::vector<float> values(64, -0.0F);
  values[1] = 381;
  values[2] = -4;
  values[3] = 4.5F;
  values[4] = 1.5F;
  std::vector<float> restored = RestoredFloats(Blocks(8, false), values);
  EXPECT_EQ(std::bit_cast<uint32_t>(restored[0]), 0U);
  EXPECT_EQ(restored[1], 381);
  EXPECT_EQ(restored[2], -3);
  EXPECT_EQ(restored[3], 6);  // half a step, to even
  EXPECT_EQ(restored[4], 0);
  // From 2 to 17 in 15 steps of 1.
  std::vector<float> ramp(16);
  for (size_t i = 0; i < 16; ++i) ramp[i] = static_cast<float>(i + 2);
  ramp[7] = 9.25F;
  restored = RestoredFloats(Blocks(4, true, 16), ramp);
  EXPECT_EQ(restored[5], 7);
  EXPECT_EQ(restored[7], 9);
  EXPECT_EQ(restored[15], 17);
}

TEST(MeasureErrors, SeesLargestMeanAndWhatIsNoNumber) {
  std::vector<float> source = {1, 2, 3, 4, 5, 6, 7, 8, kNan, kInf};
  std::vector<float> restored = {1, 2, 3.5F, 4, 5, 6, 7, 7, kNan, kInf};
  ErrorSums sums = MeasureErrors(DType::kF32, AsElements(source), AsElements(restored));
  EXPECT_EQ(sums.max_abs, 1);
  EXPECT_EQ(sums.squares, 1.25);
  EXPECT_EQ(sums.Rms(), std::sqrt(0.125));
  EXPECT_EQ(sums.special_count, 2u);
  EXPECT_EQ(sums.largest, 8);
  EXPECT_TRUE(sums.IsSound());
  for (auto [a, b] : {std::pair{kNan, 0.0F}, {0.0F, kNan}, {kInf, -kInf}, {kInf, kNan}, {1.0F, kInf}}) {
    EXPECT_FALSE(MeasureErrors(DType::kF32, AsElements<float>({a}), AsElements<float>({b})).IsSound()) << a << b;
  }
  EXPECT_EQ(MeasureErrors(DType::kF32, {}, {}).Rms(), 0);
}

TEST(MeasureErrors, TakesDoublesAsTheyAre) {
  ErrorSums sums = MeasureErrors(DType::kF64, AsElements<double>({1 + 0x1p-40}), AsElements<double>({1}));
  EXPECT_EQ(sums.max_abs, 0x1p-40);
}

}  // namespace
}  // namespace flyweight::test
