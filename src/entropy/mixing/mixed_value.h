#pragma once

#include <algorithm>
#include <cstdint>

#include "entropy/mixing/mixed_model.h"

namespace flyweight {

/// Words as values: fixed point whose unit is about 2^-12 of a typical magnitude, at most 2^19.
class MixedValue {
 public:
  MixedValue(const MixedWord& word, uint32_t base_exponent) : word_(word), base_(static_cast<int>(base_exponent)) {}

  int32_t operator()(uint32_t word) const {
    uint32_t exponent = word >> word_.mantissa_bits & ((1U << word_.exponent_bits) - 1);
    uint64_t digits = word & ((1U << word_.mantissa_bits) - 1);
    digits |= uint64_t{exponent != 0} << word_.mantissa_bits;
    digits <<= 10 - word_.mantissa_bits;
    int shift = std::clamp(static_cast<int>(std::max<uint32_t>(exponent, 1)) - base_ + 18, 0, 24);
    auto value = static_cast<int32_t>((digits << shift) >> 16);
    return word >> (word_.exponent_bits + word_.mantissa_bits) & 1 ? -value : value;
  }

 private:
  MixedWord word_;
  int base_;
};

}  // namespace flyweight
