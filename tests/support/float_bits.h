#pragma once

#include <cmath>
#include <cstdint>
#include <optional>

#include "flyweight/tensor.h"

namespace flyweight::test {

/// Sign, exponent and mantissa of an IEEE-like format.
struct FloatFormat {
  int exponent_bits;
  int mantissa_bits;

  int bits() const { return 1 + exponent_bits + mantissa_bits; }
  uint64_t sign_bit() const { return uint64_t{1} << (exponent_bits + mantissa_bits); }
  uint64_t exponent_mask() const { return ((uint64_t{1} << exponent_bits) - 1) << mantissa_bits; }
  uint64_t mantissa_mask() const { return (uint64_t{1} << mantissa_bits) - 1; }
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};

inline constexpr FloatFormat kFormatF16{5, 10};
inline constexpr FloatFormat kFormatBF16{8, 7};
inline constexpr FloatFormat kFormatF32{8, 23};
inline constexpr FloatFormat kFormatF64{11, 52};

/// The format of one word of a tensor, or nothing where it is not made of plain floats. C64 is two F32 words.
inline std::optional<FloatFormat> FloatFormatOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return kFormatF16;
    case DType::kBF16:
      return kFormatBF16;
    case DType::kF32:
    case DType::kC64:
      return kFormatF32;
    case DType::kF64:
      return kFormatF64;
    case DType::kF8E4M3:
    case DType::kF8E4M3FNUZ:
      return FloatFormat{4, 3};
    case DType::kF8E5M2:
    case DType::kF8E5M2FNUZ:
      return FloatFormat{5, 2};
    default:
      return std::nullopt;
  }
}

/// Bits of the nearest value, ties to even; overflow gives the largest exponent with mantissa 0 (infinity, where the
/// format has one).
inline uint64_t EncodeFloat(FloatFormat format, double value) {
  uint64_t sign = std::signbit(value) ? format.sign_bit() : 0;
  double magnitude = std::fabs(value);
  if (magnitude == 0.0) return sign;
  if (std::isnan(value)) return sign | format.exponent_mask() | (format.mantissa_mask() / 2 + 1);
  if (std::isinf(value)) return sign | format.exponent_mask();
  int exponent = std::ilogb(magnitude);
  int lowest = 1 - format.bias();
  if (exponent < lowest) exponent = lowest;  // denormal
  // The significand as an integer with mantissa_bits behind the point; rounding up to the next power of two carries by
  // itself.
  auto significand = static_cast<uint64_t>(std::nearbyint(std::ldexp(magnitude, format.mantissa_bits - exponent)));
  uint64_t bits = (static_cast<uint64_t>(exponent - lowest) << format.mantissa_bits) + significand;
  return sign | (bits < format.exponent_mask() ? bits : format.exponent_mask());
}

/// The value of finite bits.
inline double DecodeFloat(FloatFormat format, uint64_t bits) {
  auto mantissa = static_cast<double>(bits & format.mantissa_mask());
  int exponent = static_cast<int>((bits & format.exponent_mask()) >> format.mantissa_bits);
  double implicit = exponent > 0 ? std::ldexp(1.0, format.mantissa_bits) : 0.0;
  int scale = (exponent > 0 ? exponent : 1) - format.bias() - format.mantissa_bits;
  double magnitude = std::ldexp(mantissa + implicit, scale);
  return (bits & format.sign_bit()) != 0 ? -magnitude : magnitude;
}

}  // namespace flyweight::test
