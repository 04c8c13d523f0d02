#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "flyweight/tensor.h"
#include "support/float_bits.h"
#include "support/random.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace flyweight::test {
namespace {

constexpr int kDTypeCount = 23;

template <typename T>
std::vector<T> As(const std::vector<std::byte>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

TEST(Random, RepeatsItselfFromTheSameSeed) {
  Random a(7), b(7), c(8);
  EXPECT_EQ(a.Bytes(100), b.Bytes(100));
  EXPECT_NE(a.Bytes(100), c.Bytes(100));
}

TEST(Random, GivesTheSameDrawsOnEveryMachine) {
  Random random(1);
  EXPECT_EQ(random.Bits(), 0x910A2DEC89025CC1U);  // SplitMix64's published first output for seed 1
}

TEST(Random, StaysInItsBounds) {
  Random random(2);
  std::set<uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    seen.insert(random.Between(5, 9));
    EXPECT_LT(random.Below(3), 3U);
    EXPECT_LE(random.Size(100), 100U);
    double unit = random.Unit();
    EXPECT_TRUE(unit >= 0.0 && unit < 1.0);
    EXPECT_LE(std::fabs(random.Gaussian()), 6.0);
  }
  EXPECT_EQ(seen, (std::set<uint64_t>{5, 6, 7, 8, 9}));
}

TEST(Random, GaussianHasMeanZeroAndDeviationOne) {
  Random random(3);
  double sum = 0, squares = 0;
  constexpr int kCount = 20000;
  for (int i = 0; i < kCount; ++i) {
    double value = random.Gaussian();
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.03);
  EXPECT_NEAR(squares / kCount, 1.0, 0.05);
}

TEST(Random, HandsOutFuzzBytesFirstAndGoesOnBehindThem) {
  std::vector<std::byte> input = {std::byte{1}, std::byte{2}, std::byte{3}};
  Random random{std::span<const std::byte>(input)};
  EXPECT_EQ(random.Bits(), 0x030201U);
  EXPECT_TRUE(random.remaining_fuzz_bytes().empty());
  EXPECT_NE(random.Bits(), random.Bits());
}

TEST(FloatBits, AgreesWithTheMachine) {
  Random random(4);
  for (int i = 0; i < 2000; ++i) {
    double value = std::ldexp(random.Gaussian(), static_cast<int>(random.Below(300)) - 150);
    auto narrow = static_cast<float>(value);
    uint32_t narrow_bits;
    std::memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    EXPECT_EQ(EncodeFloat(kFormatF32, value), narrow_bits) << value;
    uint64_t wide_bits;
    std::memcpy(&wide_bits, &value, sizeof wide_bits);
    EXPECT_EQ(EncodeFloat(kFormatF64, value), wide_bits) << value;
  }
}

TEST(FloatBits, EncodesKnownHalves) {
  EXPECT_EQ(EncodeFloat(kFormatF16, 1.0), 0x3C00U);
  EXPECT_EQ(EncodeFloat(kFormatF16, -65504.0), 0xFBFFU);
  EXPECT_EQ(EncodeFloat(kFormatF16, 65520.0), 0x7C00U);
  EXPECT_EQ(EncodeFloat(kFormatF16, 0x1p-24), 0x0001U);
  EXPECT_EQ(EncodeFloat(kFormatF16, -0.0), 0x8000U);
  EXPECT_EQ(EncodeFloat(kFormatBF16, 3.140625), 0x4049U);
  EXPECT_EQ(EncodeFloat(kFormatBF16, std::numeric_limits<double>::infinity()), 0x7F80U);
  EXPECT_EQ(EncodeFloat(kFormatBF16, std::numeric_limits<double>::quiet_NaN()), 0x7FC0U);
}

TEST(FloatBits, DecodesWhatItEncoded) {
  for (uint64_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & kFormatF16.exponent_mask()) == kFormatF16.exponent_mask()) continue;
    EXPECT_EQ(EncodeFloat(kFormatF16, DecodeFloat(kFormatF16, bits)), bits);
  }
}

TEST(Weights, ElementBitsAgreeWithTheDTypeTable) {
  for (int number = 0; number < kDTypeCount; ++number) {
    auto dtype = static_cast<DType>(number);
    EXPECT_EQ(ElementBits(dtype), Describe(dtype).bits) << Describe(dtype).name;
    std::optional<FloatFormat> format = FloatFormatOf(dtype);
    if (dtype == DType::kC64) continue;
    EXPECT_EQ(format.has_value() ? format->exponent_bits : 0, Describe(dtype).exponent_bits) << Describe(dtype).name;
    EXPECT_EQ(format.has_value() ? format->mantissa_bits : 0, Describe(dtype).mantissa_bits) << Describe(dtype).name;
  }
}

TEST(Weights, EveryPatternGivesEveryDTypeTheBytesOfItsShape) {
  for (int number = 0; number < kDTypeCount; ++number) {
    for (Pattern pattern : kAllPatterns) {
      Random random(5), again(5);
      auto dtype = static_cast<DType>(number);
      std::vector<std::byte> bytes = MakeTensor(dtype, 6, 8, pattern, random);
      EXPECT_EQ(bytes.size(), TensorBytes(dtype, {6, 8})) << Describe(dtype).name << PatternName(pattern);
      EXPECT_EQ(bytes, MakeTensor(dtype, 6, 8, pattern, again));
    }
  }
}

TEST(Weights, PatternsAreWhatTheyAreCalled) {
  Random random(6);
  auto make = [&](Pattern pattern) { return As<float>(MakeTensor(DType::kF32, 16, 16, pattern, random)); };
  for (float value : make(Pattern::kNanPayloads)) EXPECT_TRUE(std::isnan(value));
  for (float value : make(Pattern::kInfinities)) EXPECT_TRUE(std::isinf(value));
  for (float value : make(Pattern::kNegativeZeros)) EXPECT_TRUE(value == 0.0F && std::signbit(value));
  for (float value : make(Pattern::kDenormals)) EXPECT_TRUE(value == 0.0F || std::fpclassify(value) == FP_SUBNORMAL);
  for (float value : make(Pattern::kWideExponents)) EXPECT_TRUE(std::isfinite(value));
  for (float value : make(Pattern::kHalfInFloat)) {
    EXPECT_EQ(static_cast<double>(value), DecodeFloat(kFormatF16, EncodeFloat(kFormatF16, static_cast<double>(value))));
  }
  std::vector<float> sparse = make(Pattern::kSparse);
  EXPECT_GT(std::ranges::count(sparse, 0.0F), 180);
  std::vector<float> constant = make(Pattern::kConstant);
  EXPECT_EQ(std::set<float>(constant.begin(), constant.end()).size(), 1U);
  std::vector<float> quantised = make(Pattern::kQuantised);
  EXPECT_LE(std::set<float>(quantised.begin(), quantised.begin() + 16).size(), 16U);
}

TEST(TempDir, HoldsFilesAndRemovesThem) {
  std::string path;
  {
    TempDir dir;
    path = dir.path();
    WriteFile(dir.File("b"), "text");
    WriteFile(dir.File("a"), "");
    EXPECT_EQ(ReadText(dir.File("b")), "text");
    EXPECT_TRUE(ReadFile(dir.File("a")).empty());
    EXPECT_EQ(dir.Names(), (std::vector<std::string>{"a", "b"}));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(SafetensorsFile, IsLaidOutAsTheFormatSays) {
  std::vector<std::byte> file = BuildSafetensors(
      {{"a\"b", "U8", {2}, {std::byte{1}, std::byte{2}}}, {"s", "U8", {}, {std::byte{3}}}}, {{"format", "pt"}});
  uint64_t header_bytes;
  std::memcpy(&header_bytes, file.data(), sizeof header_bytes);
  EXPECT_EQ(header_bytes % 8, 0U);
  ASSERT_EQ(file.size(), 8 + header_bytes + 3);
  std::string header(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  header.erase(header.find_last_not_of(' ') + 1);
  EXPECT_EQ(header, R"({"__metadata__":{"format":"pt"},"a\"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                    R"("s":{"dtype":"U8","shape":[],"data_offsets":[2,3]}})");
  EXPECT_EQ(file.back(), std::byte{3});
}

}  // namespace
}  // namespace flyweight::test
