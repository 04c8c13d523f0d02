#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "flyweight/tensor.h"

namespace flyweight {
namespace {

struct Row {
  int number;
  DType dtype;
  const char* name;
  int bits;
  int exponent_bits;
  int mantissa_bits;
};

// The numbers are in archives: this table may grow, but no row may change.
constexpr Row kRows[] = {
    {0, DType::kOpaque, "OPAQUE", 8, 0, 0},
    {1, DType::kBool, "BOOL", 8, 0, 0},
    {2, DType::kU8, "U8", 8, 0, 0},
    {3, DType::kI8, "I8", 8, 0, 0},
    {4, DType::kU16, "U16", 16, 0, 0},
    {5, DType::kI16, "I16", 16, 0, 0},
    {6, DType::kU32, "U32", 32, 0, 0},
    {7, DType::kI32, "I32", 32, 0, 0},
    {8, DType::kU64, "U64", 64, 0, 0},
    {9, DType::kI64, "I64", 64, 0, 0},
    {10, DType::kF16, "F16", 16, 5, 10},
    {11, DType::kBF16, "BF16", 16, 8, 7},
    {12, DType::kF32, "F32", 32, 8, 23},
    {13, DType::kF64, "F64", 64, 11, 52},
    {14, DType::kC64, "C64", 64, 0, 0},
    {15, DType::kF8E4M3, "F8_E4M3", 8, 4, 3},
    {16, DType::kF8E5M2, "F8_E5M2", 8, 5, 2},
    {17, DType::kF8E8M0, "F8_E8M0", 8, 0, 0},
    {18, DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8, 4, 3},
    {19, DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8, 5, 2},
    {20, DType::kF4, "F4", 4, 0, 0},
    {21, DType::kF6E2M3, "F6_E2M3", 6, 0, 0},
    {22, DType::kF6E3M2, "F6_E3M2", 6, 0, 0},
};

class DTypeRow : public ::testing::TestWithParam<Row> {};

std::string RowName(const ::testing::TestParamInfo<Row>& row) {
  std::string name = row.param.name;
  std::erase(name, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, DTypeRow, ::testing::ValuesIn(kRows), RowName);

TEST_P(DTypeRow, KeepsItsNumberAndLayout) {
  const Row& row = GetParam();
  EXPECT_EQ(static_cast<int>(row.dtype), row.number);
  const DTypeInfo& info = Describe(row.dtype);
  EXPECT_EQ(info.dtype, row.dtype);
  EXPECT_EQ(info.name, row.name);
  EXPECT_EQ(info.bits, row.bits);
  EXPECT_EQ(info.exponent_bits, row.exponent_bits);
  EXPECT_EQ(info.mantissa_bits, row.mantissa_bits);
}

TEST_P(DTypeRow, IsFoundByItsNameInAnyCase) {
  std::string lower = GetParam().name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  EXPECT_EQ(FindDType(GetParam().name), GetParam().dtype);
  EXPECT_EQ(FindDType(lower), GetParam().dtype);
}

TEST_P(DTypeRow, HasItsFewestElementsThatFillBytes) {
  const DTypeInfo& info = Describe(GetParam().dtype);
  EXPECT_FALSE(IsBlockType(info));
  EXPECT_EQ(info.block_elements * info.bits, info.block_bytes * 8);
  EXPECT_EQ(info.block_elements, info.bits == 4 ? 2 : info.bits == 6 ? 4 : 1);
}

struct BlockRow {
  int number;
  DType dtype;
  const char* name;
  int block_elements;
  int block_bytes;
};

// In archives as well: no row may change.
constexpr BlockRow kBlockRows[] = {
    {66, DType::kGgmlQ40, "GGML_Q4_0", 32, 18},        {67, DType::kGgmlQ41, "GGML_Q4_1", 32, 20},
    {70, DType::kGgmlQ50, "GGML_Q5_0", 32, 22},        {71, DType::kGgmlQ51, "GGML_Q5_1", 32, 24},
    {72, DType::kGgmlQ80, "GGML_Q8_0", 32, 34},        {73, DType::kGgmlQ81, "GGML_Q8_1", 32, 36},
    {74, DType::kGgmlQ2K, "GGML_Q2_K", 256, 84},       {75, DType::kGgmlQ3K, "GGML_Q3_K", 256, 110},
    {76, DType::kGgmlQ4K, "GGML_Q4_K", 256, 144},      {77, DType::kGgmlQ5K, "GGML_Q5_K", 256, 176},
    {78, DType::kGgmlQ6K, "GGML_Q6_K", 256, 210},      {79, DType::kGgmlQ8K, "GGML_Q8_K", 256, 292},
    {80, DType::kGgmlIQ2XXS, "GGML_IQ2_XXS", 256, 66}, {81, DType::kGgmlIQ2XS, "GGML_IQ2_XS", 256, 74},
    {82, DType::kGgmlIQ3XXS, "GGML_IQ3_XXS", 256, 98}, {83, DType::kGgmlIQ1S, "GGML_IQ1_S", 256, 50},
    {84, DType::kGgmlIQ4NL, "GGML_IQ4_NL", 32, 18},    {85, DType::kGgmlIQ3S, "GGML_IQ3_S", 256, 110},
    {86, DType::kGgmlIQ2S, "GGML_IQ2_S", 256, 82},     {87, DType::kGgmlIQ4XS, "GGML_IQ4_XS", 256, 136},
    {93, DType::kGgmlIQ1M, "GGML_IQ1_M", 256, 56},     {98, DType::kGgmlTQ10, "GGML_TQ1_0", 256, 54},
    {99, DType::kGgmlTQ20, "GGML_TQ2_0", 256, 66},     {103, DType::kGgmlMXFP4, "GGML_MXFP4", 32, 17},
    {104, DType::kGgmlNVFP4, "GGML_NVFP4", 64, 36},    {105, DType::kGgmlQ10, "GGML_Q1_0", 128, 18},
};

TEST(BlockTypes, KeepTheirNumbersAndLayouts) {
  size_t known = 0;
  for (int number = 23; number < 65536; number++) known += Describe(static_cast<DType>(number)).bits == 0 ? 1 : 0;
  EXPECT_EQ(known, std::size(kBlockRows));
  for (const BlockRow& row : kBlockRows) {
    const DTypeInfo& info = Describe(row.dtype);
    EXPECT_EQ(static_cast<int>(row.dtype), row.number);
    EXPECT_EQ(info.dtype, row.dtype);
    EXPECT_EQ(info.name, row.name);
    EXPECT_TRUE(IsBlockType(info));
    EXPECT_EQ(info.exponent_bits, 0);
    EXPECT_EQ(info.block_elements, row.block_elements);
    EXPECT_EQ(info.block_bytes, row.block_bytes);
  }
}

TEST(BlockTypes, AreNotFoundByName) {
  for (const BlockRow& row : kBlockRows) EXPECT_EQ(FindDType(row.name), std::nullopt);
}

TEST(Describe, GivesTheOpaqueRowForUnknownNumbers) {
  for (int number : {23, 64, 68, 127, 65535}) {
    EXPECT_EQ(Describe(static_cast<DType>(number)).dtype, DType::kOpaque);
    EXPECT_EQ(Describe(static_cast<DType>(number)).bits, 8);
  }
}

TEST(FindDType, KnowsTheSpellingsOfOtherLibraries) {
  EXPECT_EQ(FindDType("bfloat16"), DType::kBF16);
  EXPECT_EQ(FindDType("torch.bfloat16"), DType::kBF16);
  EXPECT_EQ(FindDType("torch.float16"), DType::kF16);
  EXPECT_EQ(FindDType("half"), DType::kF16);
  EXPECT_EQ(FindDType("float32"), DType::kF32);
  EXPECT_EQ(FindDType("np.float64"), DType::kF64);
  EXPECT_EQ(FindDType("Float64"), DType::kF64);
  EXPECT_EQ(FindDType("torch.int64"), DType::kI64);
  EXPECT_EQ(FindDType("uint8"), DType::kU8);
  EXPECT_EQ(FindDType("bool"), DType::kBool);
  EXPECT_EQ(FindDType("torch.complex64"), DType::kC64);
  EXPECT_EQ(FindDType("torch.float8_e4m3fn"), DType::kF8E4M3);
  EXPECT_EQ(FindDType("f8_e4m3fn"), DType::kF8E4M3);
  EXPECT_EQ(FindDType("torch.float8_e5m2"), DType::kF8E5M2);
  EXPECT_EQ(FindDType("torch.float8_e4m3fnuz"), DType::kF8E4M3FNUZ);
  EXPECT_EQ(FindDType("torch.float8_e5m2fnuz"), DType::kF8E5M2FNUZ);
  EXPECT_EQ(FindDType("torch.float8_e8m0fnu"), DType::kF8E8M0);
  EXPECT_EQ(FindDType("torch.float4_e2m1fn_x2"), DType::kF4);
  EXPECT_EQ(FindDType("float6_e3m2fn"), DType::kF6E3M2);
}

TEST(FindDType, KnowsNothingElse) {
  for (const char* name :
       {"", "torch.", "F", "F320", "BF16 ", "float", "int", "complex128", "torch.torch.float32", "Q4_0"}) {
    EXPECT_EQ(FindDType(name), std::nullopt) << name;
  }
}

TEST(TensorBytes, IsTheProductOfTheDimensionsTimesTheElement) {
  EXPECT_EQ(TensorBytes(DType::kBF16, {3, 5}), 30U);
  EXPECT_EQ(TensorBytes(DType::kF64, {}), 8U);
  EXPECT_EQ(TensorBytes(DType::kC64, {2}), 16U);
  EXPECT_EQ(TensorBytes(DType::kOpaque, {7}), 7U);
}

TEST(TensorBytes, OfPackedTypesMustFillWholeBytes) {
  EXPECT_EQ(TensorBytes(DType::kF4, {3, 2}), 3U);
  EXPECT_EQ(TensorBytes(DType::kF4, {3}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kF6E2M3, {4}), 3U);
  EXPECT_EQ(TensorBytes(DType::kF6E2M3, {8}), 6U);
  EXPECT_EQ(TensorBytes(DType::kF6E3M2, {5}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kF6E3M2, {2}), std::nullopt);
}

TEST(TensorBytes, OfBlockTypesCountsBlocksThatFillRows) {
  EXPECT_EQ(TensorBytes(DType::kGgmlQ4K, {2, 512}), 576U);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {32}), 34U);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {31}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {2, 16}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {32, 2}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {0, 31}), 0U);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ80, {UINT64_MAX - 31}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kGgmlQ40, {uint64_t{1} << 63}), (uint64_t{1} << 58) * 18);
}

TEST(TensorBytes, IsZeroWhereADimensionIsZero) {
  EXPECT_EQ(TensorBytes(DType::kF32, {0}), 0U);
  EXPECT_EQ(TensorBytes(DType::kF4, {3, 0}), 0U);
  EXPECT_EQ(TensorBytes(DType::kF32, {UINT64_MAX, UINT64_MAX, 0}), 0U);
}

TEST(TensorBytes, GivesNothingOnOverflow) {
  constexpr uint64_t kTwoTo32 = uint64_t{1} << 32;
  EXPECT_EQ(TensorBytes(DType::kU8, {kTwoTo32, kTwoTo32}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kU8, {UINT64_MAX}), UINT64_MAX);
  EXPECT_EQ(TensorBytes(DType::kU16, {UINT64_MAX}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kBF16, {uint64_t{1} << 62}), uint64_t{1} << 63);
  EXPECT_EQ(TensorBytes(DType::kF32, {uint64_t{1} << 62}), std::nullopt);
  EXPECT_EQ(TensorBytes(DType::kF4, {uint64_t{1} << 63}), uint64_t{1} << 62);
}

}  // namespace
}  // namespace flyweight
