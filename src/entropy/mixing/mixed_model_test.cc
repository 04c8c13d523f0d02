#include "entropy/mixing/mixed_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/float_bits.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::Random;

constexpr MixedWord kBf16{8, 7};
constexpr MixedWord kWords[] = {{8, 7}, {5, 10}, {4, 3}, {5, 2}, {1, 1}, {8, 1}};

std::vector<uint16_t> Noise(const MixedWord& word, size_t count, Random& random) {
  std::vector<uint16_t> words(count);
  for (uint16_t& bits : words)
    bits = static_cast<uint16_t>(random.Below(2U << (word.exponent_bits + word.mantissa_bits)));
  return words;
}

// BF16 numbers, each of which follows the one before.
std::vector<uint16_t> Smooth(size_t count, double correlation, Random& random) {
  std::vector<uint16_t> words(count);
  double value = 0;
  for (uint16_t& bits : words) {
    value = correlation * value + std::sqrt(1 - correlation * correlation) * random.Gaussian();
    bits = static_cast<uint16_t>(test::EncodeFloat(test::kFormatBF16, 0.02 * value));
  }
  return words;
}

uint16_t CodedMask(const MixedWord& word, const MixedSetting& setting) {
  uint32_t all = (2U << (word.exponent_bits + word.mantissa_bits)) - 1;
  uint32_t raw = (1U << (word.mantissa_bits - setting.modelled_bits)) - 1;
  if (!setting.predicts) raw |= 1U << (word.exponent_bits + word.mantissa_bits);
  return static_cast<uint16_t>(all & ~raw);
}

// Bytes of the stream; 0 where it does not come back.
size_t RoundTrip(const MixedWord& word, const MixedSetting& setting, const std::vector<uint16_t>& words) {
  AlignedBuffer memory;
  std::vector<std::byte> stream(words.size() * 8 + 64);
  stream.resize(EncodeMixedWords(word, setting, words, stream, memory));
  stream.shrink_to_fit();
  std::vector<uint16_t> decoded = words;
  for (uint16_t& bits : decoded) bits &= static_cast<uint16_t>(~CodedMask(word, setting));
  bool finished = DecodeMixedWords(word, setting, stream, decoded, memory);
  return finished && decoded == words ? stream.size() : 0;
}

TEST(MixedWords, EverySettingGivesAnyWordsBack) {
  Random random(1);
  for (const MixedWord& word : kWords) {
    for (int round = 0; round < 60; ++round) {
      MixedSetting setting;
      setting.predicts = random.Below(2) != 0;
      setting.modelled_bits = static_cast<uint8_t>(random.Below(std::min<uint64_t>(word.mantissa_bits, 3) + 1));
      setting.base_exponent = static_cast<uint8_t>(random.Bits());
      setting.scale = static_cast<uint16_t>(random.Bits());
      setting.column_count = static_cast<uint32_t>(1 + random.Below(300));
      setting.first_column = static_cast<uint32_t>(random.Below(setting.column_count));
      EXPECT_NE(RoundTrip(word, setting, Noise(word, 1 + random.Below(2000), random)), 0U)
          << int{word.exponent_bits} << " " << int{word.mantissa_bits} << " round " << round;
    }
  }
}

TEST(MixedWords, TheChosenSettingGivesTheWordsBack) {
  Random random(2);
  for (const MixedWord& word : kWords) {
    std::vector<uint16_t> words = Noise(word, 5000, random);
    for (uint32_t columns : {1U, 7U, 5000U, 9000U, kMaxMixedColumns}) {
      MixedSetting setting;
      setting.column_count = columns;
      setting.modelled_bits = 1;
      ChooseMixedSetting(word, words, setting);
      EXPECT_NE(RoundTrip(word, setting, words), 0U) << columns;
    }
  }
}

TEST(MixedWords, SignsArePredictedWhereNeighboursTellThem) {
  Random random(3);
  for (double correlation : {0.0, 0.6}) {
    std::vector<uint16_t> words = Smooth(30000, correlation, random);
    MixedSetting setting;
    setting.column_count = 100;
    ChooseMixedSetting(kBf16, words, setting);
    EXPECT_EQ(setting.predicts, correlation != 0) << correlation;
  }
}

TEST(MixedWords, SignsArePredictedWhereColumnsHaveThem) {
  Random random(4);
  std::vector<uint16_t> words = Smooth(30000, 0, random);
  for (size_t i = 0; i < words.size(); i += 10) words[i] &= 0x7FFF;
  MixedSetting setting;
  setting.column_count = 100;
  ChooseMixedSetting(kBf16, words, setting);
  EXPECT_TRUE(setting.predicts);
}

TEST(MixedWords, PredictionTakesWhatCorrelationPromises) {
  Random random(5);
  const size_t count = 100000;
  std::vector<uint16_t> words = Smooth(count, 0.8, random);
  MixedSetting setting;
  setting.column_count = 1000;
  ChooseMixedSetting(kBf16, words, setting);
  ASSERT_TRUE(setting.predicts);
  size_t with = RoundTrip(kBf16, setting, words);
  setting.predicts = false;
  size_t without = RoundTrip(kBf16, setting, words);
  ASSERT_NE(with, 0U);
  ASSERT_NE(without, 0U);
  // Known neighbours leave 0.36 of the energy: half of -log2(0.36) is 0.737 bits a word. The raw sign is one bit more.
  double gain = (static_cast<double>(without) - static_cast<double>(with)) * 8 / count + 1;
  EXPECT_GT(gain, 0.6);
  EXPECT_LT(gain, 0.75);
}

TEST(MixedWords, ColumnScalesAreLearned) {
  Random random(6);
  const size_t columns = 64, count = 64000;
  std::vector<double> scales(columns);
  for (double& scale : scales) scale = std::exp2(random.Gaussian());
  std::vector<uint16_t> words(count);
  for (size_t i = 0; i < count; ++i)
    words[i] =
        static_cast<uint16_t>(test::EncodeFloat(test::kFormatBF16, 0.02 * scales[i % columns] * random.Gaussian()));
  MixedSetting setting;
  setting.column_count = columns;
  ChooseMixedSetting(kBf16, words, setting);
  size_t known = RoundTrip(kBf16, setting, words);
  setting.column_count = columns - 1;
  size_t wrong = RoundTrip(kBf16, setting, words);
  ASSERT_NE(known, 0U);
  EXPECT_GT(static_cast<double>(wrong - known) * 8 / count, 0.1);
}

TEST(MixedWords, SayWhereTheTargetIsTooSmall) {
  Random random(7);
  std::vector<uint16_t> words = Smooth(2000, 0, random);
  MixedSetting setting;
  setting.column_count = 10;
  ChooseMixedSetting(kBf16, words, setting);
  AlignedBuffer memory;
  std::vector<std::byte> stream(900);
  EXPECT_EQ(EncodeMixedWords(kBf16, setting, words, {stream.data(), 300}, memory), 0U);
  for (size_t i = 300; i < stream.size(); ++i) ASSERT_EQ(stream[i], std::byte{0}) << i;
}

TEST(MixedWords, AnyStreamDecodesToSomething) {
  Random random(8);
  AlignedBuffer memory;
  for (int round = 0; round < 200; ++round) {
    const MixedWord& word = kWords[random.Below(std::size(kWords))];
    MixedSetting setting;
    setting.predicts = random.Below(2) != 0;
    setting.modelled_bits = static_cast<uint8_t>(std::min<uint64_t>(random.Below(4), word.mantissa_bits));
    setting.base_exponent = static_cast<uint8_t>(random.Bits());
    setting.scale = static_cast<uint16_t>(random.Bits());
    setting.column_count = static_cast<uint32_t>(1 + random.Below(50));
    std::vector<std::byte> stream(random.Below(3000));
    const bool extreme = random.Below(2) != 0;
    for (std::byte& byte : stream)
      byte = static_cast<std::byte>(extreme ? (round % 2 == 0 ? 0U : 255U) : random.Bits() & 255);
    std::vector<uint16_t> words(4000, 0);
    DecodeMixedWords(word, setting, stream, words, memory);
    for (uint16_t bits : words) ASSERT_EQ(bits & ~CodedMask(word, setting), 0);
  }
}

}  // namespace
}  // namespace flyweight
