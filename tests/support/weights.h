#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "flyweight/tensor.h"
#include "support/float_bits.h"
#include "support/random.h"

namespace flyweight::test {

/// What a generated tensor looks like. Types that are not plain floats get the nearest thing: small integers, constants
/// or random bits.
enum class Pattern {
  kWeights,        ///< Gaussian, with a scale of its own for each row and column, as trained matrices have
  kPlainGaussian,  ///< one scale for all
  kConstant,
  kZeros,
  kNegativeZeros,
  kNanPayloads,  ///< quiet and signalling NaNs with random payloads
  kDenormals,
  kInfinities,
  kSpecials,  ///< all of the special values among weights
  kRandomBits,
  kSparse,         ///< nine of ten elements are +0
  kHalfInFloat,    ///< weights rounded to a narrower float (F16 in F32 and F64, F8_E5M2 in 16 bits)
  kQuantised,      ///< 16 levels a row, times the row's scale
  kWideExponents,  ///< a finite word of random bits: all the lower half of the exponents equally often
};

inline constexpr std::array<Pattern, 14> kAllPatterns = {
    Pattern::kWeights,       Pattern::kPlainGaussian, Pattern::kConstant,  Pattern::kZeros,
    Pattern::kNegativeZeros, Pattern::kNanPayloads,   Pattern::kDenormals, Pattern::kInfinities,
    Pattern::kSpecials,      Pattern::kRandomBits,    Pattern::kSparse,    Pattern::kHalfInFloat,
    Pattern::kQuantised,     Pattern::kWideExponents,
};

/// A name without spaces or underscores, fit for a parameterised test.
inline std::string_view PatternName(Pattern pattern) {
  constexpr std::string_view kNames[] = {"Weights",     "PlainGaussian", "Constant",   "Zeros",        "NegativeZeros",
                                         "NanPayloads", "Denormals",     "Infinities", "Specials",     "RandomBits",
                                         "Sparse",      "HalfInFloat",   "Quantised",  "WideExponents"};
  return kNames[static_cast<size_t>(pattern)];
}

/// Bits of one element of each dtype, so that tests of rooms below `tensor` need not link it.
inline int ElementBits(DType dtype) {
  switch (dtype) {
    case DType::kU16:
    case DType::kI16:
    case DType::kF16:
    case DType::kBF16:
      return 16;
    case DType::kU32:
    case DType::kI32:
    case DType::kF32:
      return 32;
    case DType::kU64:
    case DType::kI64:
    case DType::kF64:
    case DType::kC64:
      return 64;
    case DType::kF4:
      return 4;
    case DType::kF6E2M3:
    case DType::kF6E3M2:
      return 6;
    default:
      return 8;
  }
}

/// Makes words one after another, row by row. Two generators with the same arguments and equally seeded draws give the
/// same words.
class FloatGenerator {
 public:
  FloatGenerator(FloatFormat format, Pattern pattern, size_t column_count, Random& random)
      : format_(format), pattern_(pattern), random_(random) {
    if (NeedsColumnScales()) {
      column_scales_.resize(column_count);
      for (double& scale : column_scales_) scale = Scale();
    }
    constant_ = Encode(0.02 * random_.Gaussian() + 0.01);
  }

  void StartRow() { row_scale_ = NeedsRowScales() ? 0.02 * Scale() : 0.02; }

  uint64_t Word(size_t column) {
    switch (pattern_) {
      case Pattern::kConstant:
        return constant_;
      case Pattern::kZeros:
        return 0;
      case Pattern::kNegativeZeros:
        return format_.sign_bit();
      case Pattern::kNanPayloads:
        return Nan();
      case Pattern::kDenormals:
        return Denormal();
      case Pattern::kInfinities:
        return Infinity();
      case Pattern::kSpecials:
        return random_.OneIn(8) ? Special() : Weight(column);
      case Pattern::kRandomBits:
        return random_.Bits() & WordMask();
      case Pattern::kSparse:
        return random_.OneIn(10) ? Weight(column) : 0;
      case Pattern::kHalfInFloat:
        return Encode(DecodeFloat(Narrower(), EncodeFinite(Narrower(), WeightValue(column))));
      case Pattern::kQuantised:
        return Encode((static_cast<double>(random_.Below(16)) - 8.0) * row_scale_);
      case Pattern::kWideExponents:
        return random_.Bits() & WordMask() & ~(format_.sign_bit() >> 1);
      case Pattern::kWeights:
      case Pattern::kPlainGaussian:
        break;
    }
    return Weight(column);
  }

 private:
  bool NeedsRowScales() const { return pattern_ != Pattern::kPlainGaussian; }
  bool NeedsColumnScales() const {
    return pattern_ == Pattern::kWeights || pattern_ == Pattern::kSpecials || pattern_ == Pattern::kHalfInFloat;
  }
  uint64_t WordMask() const { return format_.sign_bit() | (format_.sign_bit() - 1); }
  FloatFormat Narrower() const { return format_.bits() > 16 ? kFormatF16 : FloatFormat{5, 2}; }

  // About log-normal; built from exact operations only, so that it is the same everywhere.
  double Scale() {
    int exponent = static_cast<int>(std::floor(random_.Gaussian()));
    return std::ldexp(1.0 + random_.Unit(), exponent);
  }

  uint64_t Encode(double value) const { return EncodeFinite(format_, value); }
  static uint64_t EncodeFinite(FloatFormat format, double value) {
    uint64_t bits = EncodeFloat(format, value);
    bool overflowed = (bits & format.exponent_mask()) == format.exponent_mask();
    return overflowed ? bits - 1 : bits;  // the largest finite value
  }

  double WeightValue(size_t column) {
    double column_scale = column_scales_.empty() ? 1.0 : column_scales_[column];
    return random_.Gaussian() * row_scale_ * column_scale;
  }
  uint64_t Weight(size_t column) { return Encode(WeightValue(column)); }

  uint64_t Nan() {
    uint64_t payload = random_.Bits() & format_.mantissa_mask();
    return (random_.Bits() & format_.sign_bit()) | format_.exponent_mask() | (payload == 0 ? 1 : payload);
  }
  uint64_t Denormal() { return random_.Bits() & (format_.sign_bit() | format_.mantissa_mask()); }
  uint64_t Infinity() { return (random_.Bits() & format_.sign_bit()) | format_.exponent_mask(); }
  uint64_t Special() {
    switch (random_.Below(5)) {
      case 0:
        return Nan();
      case 1:
        return Denormal();
      case 2:
        return Infinity();
      case 3:
        return format_.sign_bit();
      default:
        return 0;
    }
  }

  FloatFormat format_;
  Pattern pattern_;
  Random& random_;
  std::vector<double> column_scales_;
  double row_scale_ = 1.0;
  uint64_t constant_ = 0;
};

/// `row_count` x `column_count` float words of a pattern, little-endian, row by row.
inline std::vector<std::byte> MakeFloatWords(FloatFormat format, size_t row_count, size_t column_count, Pattern pattern,
                                             Random& random) {
  size_t word_bytes = static_cast<size_t>(format.bits()) / 8;
  std::vector<std::byte> bytes(row_count * column_count * word_bytes);
  FloatGenerator generator(format, pattern, column_count, random);
  std::byte* at = bytes.data();
  for (size_t row = 0; row < row_count; ++row) {
    generator.StartRow();
    for (size_t column = 0; column < column_count; ++column, at += word_bytes) {
      uint64_t word = generator.Word(column);
      std::memcpy(at, &word, word_bytes);
    }
  }
  return bytes;
}

/// The same for integers and for types that are packed into bytes: `count` elements of `element_bytes`.
inline std::vector<std::byte> MakeIntegerWords(size_t element_bytes, size_t count, Pattern pattern, Random& random) {
  std::vector<std::byte> bytes(count * element_bytes);
  uint64_t constant = random.Bits();
  for (size_t i = 0; i < count; ++i) {
    uint64_t value = 0;
    if (pattern == Pattern::kConstant) {
      value = constant;
    } else if (pattern == Pattern::kRandomBits || pattern == Pattern::kWideExponents) {
      value = random.Bits();
    } else if (pattern == Pattern::kSparse) {
      value = random.OneIn(10) ? random.Below(256) : 0;
    } else if (pattern != Pattern::kZeros) {
      value = static_cast<uint64_t>(static_cast<int64_t>(20.0 * random.Gaussian()));
    }
    std::memcpy(bytes.data() + i * element_bytes, &value, element_bytes);
  }
  return bytes;
}

/// The bytes of a `row_count` x `column_count` tensor. Elements of less than 8 bits give the bytes that hold them,
/// rounded up.
inline std::vector<std::byte> MakeTensor(DType dtype, size_t row_count, size_t column_count, Pattern pattern,
                                         Random& random) {
  size_t words_an_element = dtype == DType::kC64 ? 2 : 1;
  if (std::optional<FloatFormat> format = FloatFormatOf(dtype); format.has_value()) {
    return MakeFloatWords(*format, row_count, column_count * words_an_element, pattern, random);
  }
  size_t bits = static_cast<size_t>(ElementBits(dtype));
  if (bits >= 8) return MakeIntegerWords(bits / 8, row_count * column_count, pattern, random);
  return MakeIntegerWords(1, (row_count * column_count * bits + 7) / 8, pattern, random);
}

}  // namespace flyweight::test
