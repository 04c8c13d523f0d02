#include <algorithm>
#include <array>

#include "base/checked.h"
#include "flyweight/tensor.h"

namespace flyweight {
namespace {

// In order of their numbers, so that a number is its row.
constexpr std::array<DTypeInfo, 23> kTable = {{
    {DType::kOpaque, "OPAQUE", 8, 0, 0},
    {DType::kBool, "BOOL", 8, 0, 0},
    {DType::kU8, "U8", 8, 0, 0},
    {DType::kI8, "I8", 8, 0, 0},
    {DType::kU16, "U16", 16, 0, 0},
    {DType::kI16, "I16", 16, 0, 0},
    {DType::kU32, "U32", 32, 0, 0},
    {DType::kI32, "I32", 32, 0, 0},
    {DType::kU64, "U64", 64, 0, 0},
    {DType::kI64, "I64", 64, 0, 0},
    {DType::kF16, "F16", 16, 5, 10},
    {DType::kBF16, "BF16", 16, 8, 7},
    {DType::kF32, "F32", 32, 8, 23},
    {DType::kF64, "F64", 64, 11, 52},
    {DType::kC64, "C64", 64, 0, 0},
    {DType::kF8E4M3, "F8_E4M3", 8, 4, 3},
    {DType::kF8E5M2, "F8_E5M2", 8, 5, 2},
    {DType::kF8E8M0, "F8_E8M0", 8, 0, 0},
    {DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8, 4, 3},
    {DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8, 5, 2},
    {DType::kF4, "F4", 4, 0, 0},
    {DType::kF6E2M3, "F6_E2M3", 6, 0, 0},
    {DType::kF6E3M2, "F6_E3M2", 6, 0, 0},
}};

constexpr bool RowsStandAtTheirNumbers() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<size_t>(kTable[i].dtype) != i) return false;
  }
  return true;
}
static_assert(RowsStandAtTheirNumbers());

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
  return row < kTable.size() ? kTable[row] : kTable[0];
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
  // Bytes before bits: a count whose bits pass 64 bits may still have bytes that do not.
  uint64_t bits = static_cast<uint64_t>(Describe(dtype).bits);
  std::optional<uint64_t> whole = CheckedMul(count / 8, bits);
  uint64_t rest_bits = count % 8 * bits;
  if (!whole.has_value() || rest_bits % 8 != 0) return std::nullopt;
  return CheckedAdd(*whole, rest_bits / 8);
}

}  // namespace flyweight
