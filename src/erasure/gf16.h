#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

// The field GF(2^16) = GF(2)[x] / (x^16 + x^5 + x^3 + x^2 + 1). An element is 16 bits, bit i the coefficient of x^i;
// addition is XOR.

inline constexpr uint32_t kGfPolynomial = 0x1002D;
inline constexpr size_t kGfOrder = 65536;         ///< elements of the field, so also the most blocks of a codeword
inline constexpr uint32_t kGfLogModulus = 65535;  ///< logarithms count modulo this

uint16_t GfMultiply(uint16_t a, uint16_t b);

/// 1 / a. Precondition: a != 0.
uint16_t GfInverse(uint16_t a);

/// x^exponent. Precondition: exponent < 65535.
uint16_t GfExp(uint32_t exponent);

/// The point at which block number `index` of a codeword is the value of the polynomial: the sum of the basis vectors
/// that the bits of `index` name. The basis is Cantor's: v0 = 1, and v(j) is the solution of v^2 + v = v(j-1) whose bit
/// 0 is 0, so that all subspace polynomials have their coefficients in {0, 1}.
uint16_t GfPoint(size_t index);

/// log GfPoint(index), base x; 0 for index 0, which has none.
uint16_t GfPointLog(size_t index);

/// What multiplication of many words by one element is made of. Both tables are linear in the element `c`: the entry of
/// c is the XOR of [0][c & 255] and [1][c >> 8].
struct GfKernelTables {
  /// For each of a word's four nibbles, least significant first: 16 low bytes and 16 high bytes of its products.
  alignas(64) uint8_t nibbles[2][256][128];
  /// Four 8 x 8 bit matrices as vgf2p8affineqb takes them: low from low, low from high, high from low, high from high.
  alignas(64) uint64_t matrices[2][256][4];
};
const GfKernelTables& GfTables();

}  // namespace flyweight
