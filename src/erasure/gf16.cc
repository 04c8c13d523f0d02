#include "erasure/gf16.h"

namespace flyweight {
namespace {

uint16_t TimesX(uint16_t a) {
  uint32_t wide = a;
  return static_cast<uint16_t>(wide << 1 ^ ((wide >> 15) * (kGfPolynomial & 0xFFFF)));
}

struct Field {
  uint16_t exp[2 * kGfLogModulus];  // twice over, so that a sum of two logarithms needs no modulus
  uint16_t log[kGfOrder];
  uint16_t points[2][256];  // by the low and the high byte of the index
  uint16_t point_log[kGfOrder];

  Field() {
    uint16_t power = 1;
    for (uint32_t i = 0; i < kGfLogModulus; ++i, power = TimesX(power)) {
      exp[i] = exp[i + kGfLogModulus] = power;
      log[power] = static_cast<uint16_t>(i);
    }
    log[0] = 0;
    FillPoints();
  }

  uint16_t Multiply(uint16_t a, uint16_t b) const { return a == 0 || b == 0 ? uint16_t{0} : exp[log[a] + log[b]]; }

  uint16_t NextBasisVector(uint16_t vector) const {
    for (uint32_t v = 0;; v += 2) {
      auto candidate = static_cast<uint16_t>(v);
      if ((Multiply(candidate, candidate) ^ candidate) == vector) return candidate;
    }
  }

  void FillPoints() {
    uint16_t basis[16] = {1};
    for (size_t j = 1; j < 16; ++j) basis[j] = NextBasisVector(basis[j - 1]);
    for (size_t half = 0; half < 2; ++half) {
      for (size_t i = 0; i < 256; ++i) {
        uint16_t point = 0;
        for (size_t bit = 0; bit < 8; ++bit)
          point = static_cast<uint16_t>(point ^ (i >> bit & 1) * basis[8 * half + bit]);
        points[half][i] = point;
      }
    }
    for (size_t i = 0; i < kGfOrder; ++i) point_log[i] = log[points[0][i & 255] ^ points[1][i >> 8]];
  }
};

const Field& TheField() {
  static const Field field;
  return field;
}

/// Row i of a matrix is its byte 7 - i, and bit j of the row stands for bit j of the input.
void SetMatrixBit(uint64_t& matrix, size_t output_bit, size_t input_bit) {
  matrix |= uint64_t{1} << (8 * (7 - output_bit) + input_bit);
}

struct Tables : GfKernelTables {
  Tables() : GfKernelTables{} {
    for (size_t half = 0; half < 2; ++half) {
      for (size_t i = 0; i < 256; ++i) Fill(half, i, static_cast<uint16_t>(i << 8 * half));
    }
  }

  void Fill(size_t half, size_t i, uint16_t element) {
    for (size_t nibble = 0; nibble < 4; ++nibble) {
      for (size_t value = 0; value < 16; ++value) {
        uint16_t product = GfMultiply(element, static_cast<uint16_t>(value << 4 * nibble));
        nibbles[half][i][32 * nibble + value] = static_cast<uint8_t>(product);
        nibbles[half][i][32 * nibble + 16 + value] = static_cast<uint8_t>(product >> 8);
      }
    }
    for (size_t input = 0; input < 16; ++input) {
      uint16_t product = GfMultiply(element, static_cast<uint16_t>(1U << input));
      for (size_t output = 0; output < 16; ++output) {
        if ((product >> output & 1) == 0) continue;
        SetMatrixBit(matrices[half][i][2 * (output / 8) + input / 8], output % 8, input % 8);
      }
    }
  }
};

}  // namespace

uint16_t GfMultiply(uint16_t a, uint16_t b) { return TheField().Multiply(a, b); }

uint16_t GfInverse(uint16_t a) {
  const Field& field = TheField();
  return field.exp[kGfLogModulus - field.log[a]];
}

uint16_t GfExp(uint32_t exponent) { return TheField().exp[exponent]; }

uint16_t GfPoint(size_t index) {
  const Field& field = TheField();
  return static_cast<uint16_t>(field.points[0][index & 255] ^ field.points[1][index >> 8]);
}

uint16_t GfPointLog(size_t index) { return TheField().point_log[index]; }

const GfKernelTables& GfTables() {
  static const Tables tables;
  return tables;
}

}  // namespace flyweight
