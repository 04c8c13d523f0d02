#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include "entropy/fixed_log2.h"
#include "entropy/mixing/mixed_model.h"
#include "entropy/mixing/mixed_value.h"

namespace flyweight {
namespace {

// A word gains surprise / (2 ln 2) bits: this asks for about 0.003.
constexpr uint64_t kWordsPerSurprise = 256;

// The middle of the exponents of words that are not 0 or subnormal.
uint8_t BaseExponent(const MixedWord& word, std::span<const uint16_t> words) {
  std::array<uint32_t, 256> counts{};
  const uint32_t mask = (1U << word.exponent_bits) - 1;
  for (uint16_t bits : words) ++counts[bits >> word.mantissa_bits & mask];
  const uint64_t normal = words.size() - counts[0];
  uint64_t seen = 0;
  uint32_t exponent = 0;
  while (exponent < mask && seen * 2 <= normal) seen += counts[++exponent];
  return static_cast<uint8_t>(exponent);
}

uint16_t ChunkScale(const MixedValue& value_of, std::span<const uint16_t> words) {
  uint64_t sum = 0;
  for (uint16_t bits : words) sum += static_cast<uint64_t>(std::abs(value_of(bits)));
  return static_cast<uint16_t>(Log2Fixed(sum / words.size() + 1) >> (kLog2FractionBits - 8));
}

// How surprising `hits` of `count` fair coins are: (hits - count / 2)^2 over its expectation, which is 1.
uint64_t Surprise(uint64_t hits, uint64_t count) {
  int64_t excess = 2 * static_cast<int64_t>(hits) - static_cast<int64_t>(count);
  return static_cast<uint64_t>(excess * excess) / std::max<uint64_t>(count, 1);
}

// Whether signs follow their neighbours or their column closely enough that predicting them pays for its time.
bool SignsArePredictable(const MixedWord& word, const MixedSetting& setting, std::span<const uint16_t> words) {
  const int sign_at = word.exponent_bits + word.mantissa_bits;
  const size_t columns = setting.column_count;
  uint64_t left = 0, above = 0;
  for (size_t i = 1; i < words.size(); ++i) left += ((words[i] ^ words[i - 1]) >> sign_at & 1) == 0;
  for (size_t i = columns; i < words.size(); ++i) above += ((words[i] ^ words[i - columns]) >> sign_at & 1) == 0;
  uint64_t surprise = Surprise(left, words.size() - 1);
  if (words.size() > columns) {
    surprise += Surprise(above, words.size() - columns);
    std::vector<uint32_t> positive(columns);
    for (size_t i = 0, column = 0; i < words.size(); ++i) {
      positive[column] += 1U - (words[i] >> sign_at & 1);
      if (++column == columns) column = 0;
    }
    uint64_t by_column = 0;
    for (size_t c = 0; c < columns; ++c)
      by_column += Surprise(positive[c], words.size() / columns + (c < words.size() % columns ? 1 : 0));
    // What chance alone would give, and some more.
    uint64_t chance = columns + (uint64_t{8} << std::bit_width(columns) / 2);
    surprise += by_column > chance ? by_column - chance : 0;
  }
  return surprise > words.size() / kWordsPerSurprise;
}

}  // namespace

void ChooseMixedSetting(const MixedWord& word, std::span<const uint16_t> words, MixedSetting& setting) {
  setting.base_exponent = BaseExponent(word, words);
  setting.scale = ChunkScale(MixedValue(word, setting.base_exponent), words);
  setting.predicts = SignsArePredictable(word, setting, words);
}

}  // namespace flyweight
