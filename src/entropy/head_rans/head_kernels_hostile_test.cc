#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "entropy/head_rans/head_rans_test_tools.h"
#include "simd/isa.h"

// Decoders get streams, states and rests from files. Under AddressSanitizer these tests also show that no kernel reads
// further than kStreamReadAhead behind a stream, since the buffers end there.

namespace flyweight {
namespace {

using test::DecodedHeads;
using test::DecodeHeadsInPieces;
using test::EncodedHeads;
using test::HeadBytesVector;
using test::Random;

class HostileHeads : public testing::TestWithParam<std::tuple<Isa, HeadKind>> {
 protected:
  HostileHeads() { ForceIsa(std::get<0>(GetParam())); }
  ~HostileHeads() override { ForceIsa(std::nullopt); }
  HeadKind kind() const { return std::get<1>(GetParam()); }

  static HeadCoder MakeCoder(uint64_t seed) {
    Random random(seed);
    HeadHistogram histogram{};
    for (int i = 0; i < 20; ++i) ++histogram[random.Below(512)];
    return HeadCoder(BuildHeadTable(histogram));
  }

  EncodedHeads SoundHeads(const HeadCoder& coder, size_t iterations) const {
    Random random(iterations);
    std::vector<uint8_t> exponents(coder.rank_exponent, coder.rank_exponent + 3);
    HeadBytesVector heads = test::MakeHeads(kind(), iterations * kHeadIteration, exponents, 0, {}, random);
    return test::EncodeHeadsInBatches(kind(), coder, heads, {});
  }
};

void FillRandomly(HeadBytesVector& bytes, size_t size, Random& random) {
  bytes.resize(size);
  random.Fill(std::as_writable_bytes(std::span(bytes)));
}

TEST_P(HostileHeads, NeverLeadAStreamFurtherThanOneByteBehindItsEnd) {
  Random random(9);
  for (int trial = 0; trial < 60; ++trial) {
    HeadCoder coder = MakeCoder(random.Bits());
    size_t iterations = random.Between(1, 6);
    EncodedHeads hostile;
    FillRandomly(hostile.rest, iterations * RestBytesPerIteration(kind()), random);
    for (HeadBytesVector& stream : hostile.streams) FillRandomly(stream, random.Below(700), random);
    HeadBytesVector states;
    FillRandomly(states, sizeof hostile.states, random);
    if (trial % 3 != 0) std::memcpy(&hostile.states, states.data(), states.size());  // else all zero, the greediest
    HeadBytesVector shifts;
    if (trial % 2 != 0) FillRandomly(shifts, iterations * kHeadIteration, random);

    DecodedHeads decoded = DecodeHeadsInPieces(kind(), coder, hostile, shifts, trial % 5 == 0 ? 1 : iterations);
    for (ptrdiff_t left : decoded.stream_left) EXPECT_GE(left, -1);
  }
}

TEST_P(HostileHeads, NeverMakeAStreamThatIsTooShortLookUsedUp) {
  HeadCoder coder = MakeCoder(4);
  for (size_t iterations : {1, 2, 3, 17}) {
    for (size_t cut_bytes : {1, 2, 60, 100}) {
      for (size_t s = 0; s < kHeadStreams; ++s) {
        EncodedHeads encoded = SoundHeads(coder, iterations);
        ASSERT_GT(encoded.streams[s].size(), cut_bytes);
        encoded.streams[s].resize(encoded.streams[s].size() - cut_bytes);
        DecodedHeads decoded = DecodeHeadsInPieces(kind(), coder, encoded, {}, 16);
        EXPECT_EQ(decoded.stream_left[s], -1) << iterations << " iterations, " << cut_bytes << " bytes";
        EXPECT_EQ(decoded.stream_left[1 - s], 0);
      }
    }
  }
}

TEST_P(HostileHeads, LeaveTheBytesOfAStreamThatIsTooLong) {
  HeadCoder coder = MakeCoder(4);
  EncodedHeads encoded = SoundHeads(coder, 5);
  encoded.streams[1].push_back(0);
  DecodedHeads decoded = DecodeHeadsInPieces(kind(), coder, encoded, {}, 5);
  EXPECT_EQ(decoded.stream_left[0], 0);
  EXPECT_EQ(decoded.stream_left[1], 1);
}

TEST_P(HostileHeads, AreWrittenNowhereElse) {
  constexpr size_t kGuardBytes = 256;
  Random random(5);
  HeadCoder coder = MakeCoder(6);
  HeadBytesVector stream, rest;
  FillRandomly(stream, 2000 + kStreamReadAhead, random);
  FillRandomly(rest, 3 * RestBytesPerIteration(kind()), random);
  size_t head_bytes = 3 * kHeadIteration * HeadBytes(kind());
  HeadBytesVector heads(head_bytes + 2 * kGuardBytes, 0xA5);
  HeadStates states{};
  DecodeHeadsArgs args{&coder,      &states, {stream.data(), stream.data()}, {stream.data() + 2000, stream.data() + 9},
                       rest.data(), nullptr, heads.data() + kGuardBytes,     3};
  kDecodeHeads[static_cast<size_t>(kind())].Pick()(args);
  auto untouched = [](uint8_t byte) { return byte == 0xA5; };
  EXPECT_TRUE(std::all_of(heads.begin(), heads.begin() + kGuardBytes, untouched));
  EXPECT_TRUE(std::all_of(heads.end() - kGuardBytes, heads.end(), untouched));
}

INSTANTIATE_TEST_SUITE_P(All, HostileHeads,
                         testing::Combine(testing::ValuesIn(SupportedIsas().begin(), SupportedIsas().end()),
                                          testing::Values(HeadKind::k16, HeadKind::k8)),
                         [](const auto& each) {
                           return std::string(IsaName(std::get<0>(each.param))) +
                                  (std::get<1>(each.param) == HeadKind::k16 ? "Heads16" : "Heads8");
                         });

}  // namespace
}  // namespace flyweight
