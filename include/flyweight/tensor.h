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
  // Block types of ggml: kGgmlDTypeBase and ggml's own number of the type.
  kGgmlQ40 = 66,
  kGgmlQ41 = 67,
  kGgmlQ50 = 70,
  kGgmlQ51 = 71,
  kGgmlQ80 = 72,
  kGgmlQ81 = 73,
  kGgmlQ2K = 74,
  kGgmlQ3K = 75,
  kGgmlQ4K = 76,
  kGgmlQ5K = 77,
  kGgmlQ6K = 78,
  kGgmlQ8K = 79,
  kGgmlIQ2XXS = 80,
  kGgmlIQ2XS = 81,
  kGgmlIQ3XXS = 82,
  kGgmlIQ1S = 83,
  kGgmlIQ4NL = 84,
  kGgmlIQ3S = 85,
  kGgmlIQ2S = 86,
  kGgmlIQ4XS = 87,
  kGgmlIQ1M = 93,
  kGgmlTQ10 = 98,
  kGgmlTQ20 = 99,
  kGgmlMXFP4 = 103,
  kGgmlNVFP4 = 104,
  kGgmlQ10 = 105,
};

/// The block type of ggml's number n is dtype kGgmlDTypeBase + n.
inline constexpr uint16_t kGgmlDTypeBase = 64;

/// One row of the dtype table. Exponent and mantissa are 0 for anything but plain IEEE-like floats.
struct DTypeInfo {
  DType dtype;
  std::string_view name;  ///< the spelling of safetensors ("BF16"), or "GGML_" and that of ggml
  int bits;               ///< of one element; 0 for block types, whose elements have no bits of their own
  int exponent_bits;
  int mantissa_bits;
  int block_elements;  ///< the fewest elements that fill whole bytes: 1 for most, 2 for F4; of block types one block
  int block_bytes;     ///< bytes of those
};

/// Whether elements only exist in blocks that share their scales ("GGML_Q4_K").
inline bool IsBlockType(const DTypeInfo& info) { return info.bits == 0; }

/// The table's row for `dtype`; unknown numbers give kOpaque's row (8 bits).
const DTypeInfo& Describe(DType dtype);

/// Finds a dtype by safetensors name or by a common alias ("bfloat16", "float32", "torch.float16", "f8_e4m3fn"),
/// case-insensitive. Block types have no such name and are not found.
std::optional<DType> FindDType(std::string_view name);

using Shape = std::vector<uint64_t>;

/// Bytes of a dense tensor, or nothing where the product overflows 64 bits, the bits do not fill whole bytes or the
/// rows (last dimension) of a block type do not fill whole blocks.
std::optional<uint64_t> TensorBytes(DType dtype, const Shape& shape);

}  // namespace flyweight
