#include <algorithm>
#include <array>
#include <vector>

#include "entropy/fixed_log2.h"
#include "entropy/mixing/mixed_model.h"

namespace flyweight {
namespace {

}  // namespace

void ChooseMixedSetting(const MixedWord& word, std::span<const uint16_t> words, MixedSetting& setting) {
  std::array<uint32_t, 256> counts{};
  const uint32_t mask = (1U << word.exponent_bits) - 1;
  for (uint16_t w : words) ++counts[w >> word.mantissa_bits & mask];
  uint64_t seen = counts[0], other = words.size() - counts[0];
  seen = 0;
  uint32_t base = 1;
  for (uint32_t e = 1; e <= mask; ++e) {
    seen += counts[e];
    if (seen * 2 >= other) { base = e; break; }
  }
  setting.base_exponent = static_cast<uint8_t>(base);
  uint64_t sum = 0;
  for (uint16_t w : words) {
    int e = std::max<int>(1, static_cast<int>(w >> word.mantissa_bits & mask));
    uint64_t m = w & ((1U << word.mantissa_bits) - 1);
    m |= uint64_t{(w >> word.mantissa_bits & mask) != 0} << word.mantissa_bits;
    m <<= 10 - word.mantissa_bits;
    sum += (m << std::clamp(e - static_cast<int>(base) + 18, 0, 24)) >> 16;
  }
  setting.scale = static_cast<uint16_t>(Log2Fixed(sum / words.size() + 1) >> 8);
}

}  // namespace flyweight
