#pragma once

#include <bit>
#include <cstdint>

namespace flyweight {

/// Fraction bits of the logarithms below.
inline constexpr int kLog2FractionBits = 16;

/// log2(x) in units of 2^-16, rounded down, by integer arithmetic alone: estimates decide bytes, and the C library's
/// log2 may differ in the last place from machine to machine. Precondition: x > 0. Source: bit by bit squaring, Knuth,
/// TAOCP 1.2.2, exercise 25.
constexpr int64_t Log2Fixed(uint64_t x) {
  int whole = 63 - std::countl_zero(x);
  // Mantissa in [2^31, 2^32).
  uint64_t mantissa = whole >= 31 ? x >> (whole - 31) : x << (31 - whole);
  int64_t result = static_cast<int64_t>(whole) << kLog2FractionBits;
  for (int bit = kLog2FractionBits - 1; bit >= 0; --bit) {
    mantissa = (mantissa * mantissa) >> 31;
    if (mantissa >> 32) {
      mantissa >>= 1;
      result |= int64_t{1} << bit;
    }
  }
  return result;
}

}  // namespace flyweight
