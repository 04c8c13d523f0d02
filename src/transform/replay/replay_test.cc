#include "transform/replay/replay.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "simd/isa.h"

namespace flyweight {
namespace {

using Words = std::vector<uint32_t>;

constexpr uint32_t kSpecials[] = {0,          0x80000000, 1,          0x80000001, 0x007FFFFF, 0x00800000,
                                  0x807FFFFF, 0x3F800000, 0xBF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000,
                                  0xFF800000, 0x7F800001, 0xFFC12345, 0x7FFFFFFF};

Words SomeWords(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Words words(std::begin(kSpecials), std::end(kSpecials));
  while (words.size() < count) words.push_back(static_cast<uint32_t>(random()));
  words.resize(count);
  return words;
}

Words OneByOne(const std::vector<ReplayRun>& runs, Words words) {
  for (uint32_t& word : words) {
    if ((word & 0x7F800000) == 0x7F800000) continue;
    auto value = std::bit_cast<float>(word);
    for (const ReplayRun& run : runs) {
      for (uint32_t s = 0; s < run.steps && std::isfinite(value); ++s)
        value = static_cast<float>(static_cast<double>(value) * run.factor);
    }
    word = std::bit_cast<uint32_t>(value);
  }
  return words;
}

Words Replayed(const std::vector<ReplayRun>& runs, const Words& words, uint64_t element_count) {
  Words out(words.size());
  Replay(runs, element_count)
      .Apply(reinterpret_cast<const std::byte*>(words.data()), words.size(), reinterpret_cast<std::byte*>(out.data()));
  return out;
}

const std::vector<std::vector<ReplayRun>> kLists = {
    {{1 - 0x3p-24, 30}},
    {{1 - 0x1p-24, 2}, {1 - 0x2p-24, 3}, {1 - 0x8p-24, 70}, {1 - 0x7p-24, 31}},
    {{1 - 0x3.5p-24, 40}},  // a factor that F32 does not hold
    {{1 - 2e-7, 12}, {1 - 0x5p-24, 1}, {0.75, 1}},
    {{1 - 3.25e-6, 150}},
    {{2.5, 3}},
    {{0x1p-8, 20}},
};

TEST(Replay, RoundsEveryProductOnEveryIsa) {
  for (Isa isa : SupportedIsas()) {
    ForceIsa(isa);
    for (const auto& runs : kLists) {
      for (size_t count : {0, 1, 16, 127, 1000}) {
        const Words words = SomeWords(count, 1);
        EXPECT_EQ(Replayed(runs, words, count), OneByOne(runs, words)) << IsaName(isa) << " " << runs[0].factor;
      }
    }
  }
  ForceIsa(std::nullopt);
}

TEST(Replay, WorksInPlace) {
  Words words = SomeWords(5000, 2);
  for (uint64_t element_count : {uint64_t{5000}, uint64_t{1} << 20}) {
    Words changed = words;
    auto* bytes = reinterpret_cast<std::byte*>(changed.data());
    Replay(kLists[1], element_count).Apply(bytes, changed.size(), bytes);
    EXPECT_EQ(changed, OneByOne(kLists[1], words));
  }
}

TEST(Replay, GivesTheSameFromItsTable) {
  for (const auto& runs : {kLists[1], kLists[4], std::vector<ReplayRun>{{1 - 0x1p-24, 100}},
                           std::vector<ReplayRun>{{1 - 0x54p-24, 300}}}) {
    Words words = SomeWords(3000, 3);
    for (uint32_t mantissa = 0; mantissa < (1u << 23); mantissa += 61) words.push_back(0x3D000000 + mantissa);
    const Replay replay(runs, uint64_t{1} << 20);
    EXPECT_LT(replay.MeanSteps(), static_cast<double>(replay.step_count()));
    EXPECT_EQ(Replayed(runs, words, uint64_t{1} << 20), Replayed(runs, words, 1));
  }
}

TEST(Replay, TakesMostElementsFromTheTable) {
  EXPECT_LT(Replay(std::vector<ReplayRun>{{1 - 0x3p-24, 300}}, 1 << 20).MeanSteps(), 3);
  EXPECT_EQ(Replay(std::vector<ReplayRun>{{1 - 0x3p-24, 300}}, 100).MeanSteps(), 300);
}

}  // namespace
}  // namespace flyweight
