#include <algorithm>
#include <array>

#include "base/checked.h"
#include "flyweight/tensor.h"

namespace flyweight {
namespace {

// In order of their numbers, so that a number is its row.
constexpr std::array<DTypeInfo, 23> kTable = {{
    {DType::kOpaque, "OPAQUE", 8, 0, 0, 1, 1},
    {DType::kBool, "BOOL", 8, 0, 0, 1, 1},
    {DType::kU8, "U8", 8, 0, 0, 1, 1},
    {DType::kI8, "I8", 8, 0, 0, 1, 1},
    {DType::kU16, "U16", 16, 0, 0, 1, 2},
    {DType::kI16, "I16", 16, 0, 0, 1, 2},
    {DType::kU32, "U32", 32, 0, 0, 1, 4},
    {DType::kI32, "I32", 32, 0, 0, 1, 4},
    {DType::kU64, "U64", 64, 0, 0, 1, 8},
    {DType::kI64, "I64", 64, 0, 0, 1, 8},
    {DType::kF16, "F16", 16, 5, 10, 1, 2},
    {DType::kBF16, "BF16", 16, 8, 7, 1, 2},
    {DType::kF32, "F32", 32, 8, 23, 1, 4},
    {DType::kF64, "F64", 64, 11, 52, 1, 8},
    {DType::kC64, "C64", 64, 0, 0, 1, 8},
    {DType::kF8E4M3, "F8_E4M3", 8, 4, 3, 1, 1},
    {DType::kF8E5M2, "F8_E5M2", 8, 5, 2, 1, 1},
    {DType::kF8E8M0, "F8_E8M0", 8, 0, 0, 1, 1},
    {DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8, 4, 3, 1, 1},
    {DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8, 5, 2, 1, 1},
    {DType::kF4, "F4", 4, 0, 0, 2, 1},
    {DType::kF6E2M3, "F6_E2M3", 6, 0, 0, 4, 3},
    {DType::kF6E3M2, "F6_E3M2", 6, 0, 0, 4, 3},
}};

constexpr bool RowsStandAtTheirNumbers() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].dtype) != i) return false;
  }
  return true;
}
static_assert(RowsStandAtTheirNumbers());

// Source: ggml's type traits and the block structs behind them (ggml-common.h). A few numbers only, so that a search
// costs nothing.
constexpr DTypeInfo kBlockTypes[] = {
    {DType::kGgmlQ40, "GGML_Q4_0", 0, 0, 0, 32, 18},        {DType::kGgmlQ41, "GGML_Q4_1", 0, 0, 0, 32, 20},
    {DType::kGgmlQ50, "GGML_Q5_0", 0, 0, 0, 32, 22},        {DType::kGgmlQ51, "GGML_Q5_1", 0, 0, 0, 32, 24},
    {DType::kGgmlQ80, "GGML_Q8_0", 0, 0, 0, 32, 34},        {DType::kGgmlQ81, "GGML_Q8_1", 0, 0, 0, 32, 36},
    {DType::kGgmlQ2K, "GGML_Q2_K", 0, 0, 0, 256, 84},       {DType::kGgmlQ3K, "GGML_Q3_K", 0, 0, 0, 256, 110},
    {DType::kGgmlQ4K, "GGML_Q4_K", 0, 0, 0, 256, 144},      {DType::kGgmlQ5K, "GGML_Q5_K", 0, 0, 0, 256, 176},
    {DType::kGgmlQ6K, "GGML_Q6_K", 0, 0, 0, 256, 210},      {DType::kGgmlQ8K, "GGML_Q8_K", 0, 0, 0, 256, 292},
    {DType::kGgmlIQ2XXS, "GGML_IQ2_XXS", 0, 0, 0, 256, 66}, {DType::kGgmlIQ2XS, "GGML_IQ2_XS", 0, 0, 0, 256, 74},
    {DType::kGgmlIQ3XXS, "GGML_IQ3_XXS", 0, 0, 0, 256, 98}, {DType::kGgmlIQ1S, "GGML_IQ1_S", 0, 0, 0, 256, 50},
    {DType::kGgmlIQ4NL, "GGML_IQ4_NL", 0, 0, 0, 32, 18},    {DType::kGgmlIQ3S, "GGML_IQ3_S", 0, 0, 0, 256, 110},
    {DType::kGgmlIQ2S, "GGML_IQ2_S", 0, 0, 0, 256, 82},     {DType::kGgmlIQ4XS, "GGML_IQ4_XS", 0, 0, 0, 256, 136},
    {DType::kGgmlIQ1M, "GGML_IQ1_M", 0, 0, 0, 256, 56},     {DType::kGgmlTQ10, "GGML_TQ1_0", 0, 0, 0, 256, 54},
    {DType::kGgmlTQ20, "GGML_TQ2_0", 0, 0, 0, 256, 66},     {DType::kGgmlMXFP4, "GGML_MXFP4", 0, 0, 0, 32, 17},
    {DType::kGgmlNVFP4, "GGML_NVFP4", 0, 0, 0, 64, 36},     {DType::kGgmlQ10, "GGML_Q1_0", 0, 0, 0, 128, 18},
};

const DTypeInfo* FindBlockType(DType dtype) {
  const DTypeInfo* row = std::ranges::find(kBlockTypes, dtype, &DTypeInfo::dtype);
  return row == std::end(kBlockTypes) ? nullptr : row;
}

struct Alias {
  std::string_view name;  // lower case
  DType dtype;
};

// Spellings of numpy, torch, ml_dtypes and JAX. "float", "int" and "long" are left out: they mean different widths in
// different libraries.
constexpr Alias kAliases[] = {
    {"uint8", DType::kU8},
    {"int8", DType::kI8},
    {"uint16", DType::kU16},
    {"int16", DType::kI16},
    {"uint32", DType::kU32},
    {"int32", DType::kI32},
    {"uint64", DType::kU64},
    {"int64", DType::kI64},
    {"float16", DType::kF16},
    {"fp16", DType::kF16},
    {"half", DType::kF16},
    {"bfloat16", DType::kBF16},
    {"float32", DType::kF32},
    {"fp32", DType::kF32},
    {"float64", DType::kF64},
    {"fp64", DType::kF64},
    {"double", DType::kF64},
    {"complex64", DType::kC64},
    {"float8_e4m3fn", DType::kF8E4M3},
    {"float8_e4m3", DType::kF8E4M3},
    {"f8_e4m3fn", DType::kF8E4M3},
    {"float8_e5m2", DType::kF8E5M2},
    {"float8_e8m0fnu", DType::kF8E8M0},
    {"float8_e8m0", DType::kF8E8M0},
    {"f8_e8m0fnu", DType::kF8E8M0},
    {"float8_e4m3fnuz", DType::kF8E4M3FNUZ},
    {"float8_e5m2fnuz", DType::kF8E5M2FNUZ},
    {"float4_e2m1fn", DType::kF4},
    {"float4_e2m1fn_x2", DType::kF4},
    {"f4_e2m1", DType::kF4},
    {"float6_e2m3fn", DType::kF6E2M3},
    {"float6_e3m2fn", DType::kF6E3M2},
};

constexpr std::string_view kPrefixes[] = {"torch.", "numpy.", "np.", "jnp.", "ml_dtypes."};

// Bytes, not characters of a locale: 'I' is 'i' everywhere.
char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, LowerAscii, LowerAscii);
}

std::string_view WithoutPrefix(std::string_view name) {
  for (std::string_view prefix : kPrefixes) {
    if (EqualsIgnoringCase(name.substr(0, prefix.size()), prefix)) return name.substr(prefix.size());
  }
  return name;
}

}  // namespace

const DTypeInfo& Describe(DType dtype) {
  size_t row = static_cast<size_t>(dtype);
  if (row < kTable.size()) return kTable[row];
  const DTypeInfo* block_type = FindBlockType(dtype);
  return block_type == nullptr ? kTable[0] : *block_type;
}

std::optional<DType> FindDType(std::string_view name) {
  std::string_view bare = WithoutPrefix(name);
  for (const DTypeInfo& info : kTable) {
    if (EqualsIgnoringCase(bare, info.name)) return info.dtype;
  }
  for (const Alias& alias : kAliases) {
    if (EqualsIgnoringCase(bare, alias.name)) return alias.dtype;
  }
  return std::nullopt;
}

std::optional<uint64_t> TensorBytes(DType dtype, const Shape& shape) {
  // A dimension of 0 makes the tensor empty whatever the others are, so it is looked for before anything can overflow.
  if (std::ranges::find(shape, uint64_t{0}) != shape.end()) return 0;
  uint64_t count = 1;
  for (uint64_t dimension : shape) {
    std::optional<uint64_t> product = CheckedMul(count, dimension);
    if (!product.has_value()) return std::nullopt;
    count = *product;
  }
  const DTypeInfo& info = Describe(dtype);
  uint64_t block_elements = static_cast<uint64_t>(info.block_elements);
  uint64_t filled = IsBlockType(info) ? (shape.empty() ? 1 : shape.back()) : count;
  if (filled % block_elements != 0) return std::nullopt;
  return CheckedMul(count / block_elements, static_cast<uint64_t>(info.block_bytes));
}

}  // namespace flyweight
