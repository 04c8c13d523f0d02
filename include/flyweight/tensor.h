#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flyweight {

/// Element types. The numbers are written into archives and never change meaning. kOpaque is "bytes of a type we do not
/// know".
enum class DType : uint16_t {
  kOpaque = 0,
  kBool = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kU32 = 6,
  kI32 = 7,
  kU64 = 8,
  kI64 = 9,
  kF16 = 10,
  kBF16 = 11,
  kF32 = 12,
  kF64 = 13,
  kC64 = 14,
  kF8E4M3 = 15,
  kF8E5M2 = 16,
  kF8E8M0 = 17,
  kF8E4M3FNUZ = 18,
  kF8E5M2FNUZ = 19,
  kF4 = 20,      ///< two elements a byte
  kF6E2M3 = 21,  ///< four elements in three bytes
  kF6E3M2 = 22,
};

/// One row of the dtype table. `bits` is the size of one element; exponent and mantissa are 0 for anything but plain
/// IEEE-like floats.
struct DTypeInfo {
  DType dtype;
  std::string_view name;  ///< the spelling of safetensors ("BF16")
  int bits;
  int exponent_bits;
  int mantissa_bits;
};

/// The table's row for `dtype`; unknown numbers give kOpaque's row (8 bits).
const DTypeInfo& Describe(DType dtype);

/// Finds a dtype by safetensors name or by a common alias ("bfloat16", "float32", "torch.float16", "f8_e4m3fn"),
/// case-insensitive.
std::optional<DType> FindDType(std::string_view name);

using Shape = std::vector<uint64_t>;

/// Bytes of a dense tensor, or nothing where the product overflows 64 bits or the bits do not fill whole bytes.
std::optional<uint64_t> TensorBytes(DType dtype, const Shape& shape);

}  // namespace flyweight
