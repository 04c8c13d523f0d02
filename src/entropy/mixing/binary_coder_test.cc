#include "entropy/mixing/binary_coder.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/random.h"

namespace flyweight {
namespace {

using test::Random;

struct Decision {
  bool bit;
  uint32_t one;
};

// Decisions that come out as their probabilities say, of which many are extreme.
std::vector<Decision> Decisions(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<Decision> decisions(count);
  for (Decision& decision : decisions) {
    constexpr uint32_t kEdges[] = {32, 65504, 32768, 1};
    decision.one = random.Below(2) == 0 ? kEdges[random.Below(4)] : static_cast<uint32_t>(32 + random.Below(65472));
    decision.bit = random.Below(65536) < decision.one;
  }
  return decisions;
}

std::vector<std::byte> Encode(const std::vector<Decision>& decisions, size_t room_bytes) {
  std::vector<std::byte> stream(room_bytes);
  BinaryEncoder encoder(stream);
  for (const Decision& decision : decisions) EXPECT_EQ(encoder.Code(decision.bit, decision.one), decision.bit);
  stream.resize(encoder.Finish());
  stream.shrink_to_fit();
  return stream;
}

bool DecodesTo(const std::vector<std::byte>& stream, const std::vector<Decision>& decisions) {
  BinaryDecoder decoder(stream);
  bool same = true;
  for (const Decision& decision : decisions) same = same && decoder.Code(false, decision.one) == decision.bit;
  return same && decoder.Finished();
}

TEST(BinaryCoder, DecodesWhatItEncoded) {
  for (size_t count : {size_t{0}, size_t{1}, size_t{2}, size_t{100}, size_t{100000}}) {
    std::vector<Decision> decisions = Decisions(count, count);
    EXPECT_TRUE(DecodesTo(Encode(decisions, 4 * count + 64), decisions)) << count;
  }
}

TEST(BinaryCoder, ImprobableDecisionsMakeCarriesAndSurvive) {
  // A long run of the upper part brings the interval's start close to the top, where additions carry.
  std::vector<Decision> decisions;
  for (int i = 0; i < 3000; ++i) decisions.push_back({i % 50 == 49, i % 50 == 49 ? 32U : 40U});
  for (int i = 0; i < 3000; ++i) decisions.push_back({false, 65504});
  EXPECT_TRUE(DecodesTo(Encode(decisions, 1 << 16), decisions));
}

TEST(BinaryCoder, TakesTheBitsThatProbabilitiesPromise) {
  std::vector<Decision> decisions(80000);
  for (size_t i = 0; i < decisions.size(); ++i) decisions[i] = {i % 4 == 0, 16384};
  double bits = 80000 * 0.811278;  // the entropy of 1 in 4
  EXPECT_NEAR(static_cast<double>(Encode(decisions, 1 << 16).size()) * 8, bits, 100);
}

TEST(BinaryCoder, SaysWhereTheTargetIsTooSmallAndStaysInside) {
  std::vector<Decision> decisions = Decisions(20000, 5);
  size_t needed = Encode(decisions, 1 << 17).size();
  ASSERT_GT(needed, 100U);
  for (size_t room : {size_t{0}, size_t{3}, size_t{7}, needed / 2, needed - 1})
    EXPECT_TRUE(Encode(decisions, room).empty()) << room;
  EXPECT_EQ(Encode(decisions, needed).size(), needed);
}

TEST(BinaryCoder, ShorterAndLongerStreamsAreNotFinished) {
  std::vector<Decision> decisions = Decisions(2000, 6);
  std::vector<std::byte> stream = Encode(decisions, 1 << 16);
  for (size_t size :
       {size_t{0}, size_t{5}, stream.size() - 4, stream.size() - 1, stream.size() + 1, stream.size() + 4}) {
    std::vector<std::byte> other = stream;
    other.resize(size);
    other.shrink_to_fit();
    BinaryDecoder decoder(other);
    for (const Decision& decision : decisions) decoder.Code(false, decision.one);
    EXPECT_FALSE(decoder.Finished()) << size;
  }
}

}  // namespace
}  // namespace flyweight
