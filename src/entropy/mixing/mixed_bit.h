#pragma once

#include <algorithm>
#include <cstdint>

#include "entropy/mixing/mixing_tables.h"

namespace flyweight {

/// An adaptive probability: 22 bits of it above 10 bits that count its uses.
using MixedSlot = uint32_t;
inline constexpr MixedSlot kFreshSlot = MixedSlot{1} << 31;
inline constexpr int kMixedInputs = 3;

/// How much each of the three slots of a decision counts, in units of 2^-16.
struct MixedWeights {
  int32_t of[kMixedInputs] = {26214, 26214, 26214};
};
inline constexpr int32_t kMixedWeightLimit = 1 << 22;

inline MixedSlot UpdateSlot(MixedSlot slot, bool bit) {
  auto probability = static_cast<int64_t>(slot >> 10);
  uint32_t uses = slot & 1023;
  int64_t target = bit ? (1 << 22) - 1 : 0;
  probability += ((target - probability) * kSlotRate[uses]) >> 16;
  return static_cast<MixedSlot>(probability << 10) | std::min(uses + 1, kSlotLimit);
}

/// Codes a decision whose probability is the logistic mix of three slots, then teaches slots and weights (docs/format.md
/// section 3.7.3). `slowness` is how slowly the weights learn. Source: Mahoney, "Adaptive weighing of context models for
/// lossless data compression", 2005.
template <typename Coder>
inline bool CodeMixed(Coder& coder, MixedSlot& a, MixedSlot& b, MixedSlot& c, MixedWeights& weights, int slowness,
                      bool bit) {
  int32_t sa = kStretch[a >> 20], sb = kStretch[b >> 20], sc = kStretch[c >> 20];
  int64_t sum = int64_t{sa} * weights.of[0] + int64_t{sb} * weights.of[1] + int64_t{sc} * weights.of[2];
  auto mixed = static_cast<int>(std::clamp<int64_t>(sum >> 16, -kLogisticLimit, kLogisticLimit));
  int32_t one = kSquash[static_cast<size_t>(mixed + 2048)];
  bit = coder.Code(bit, static_cast<uint32_t>(one));
  int32_t error = (bit ? 65535 : 0) - one;
  int32_t half = 1 << (slowness - 1);
  auto learn = [&](int32_t& weight, int32_t input) {
    weight = std::clamp(weight + ((input * error + half) >> slowness), -kMixedWeightLimit, kMixedWeightLimit);
  };
  learn(weights.of[0], sa);
  learn(weights.of[1], sb);
  learn(weights.of[2], sc);
  a = UpdateSlot(a, bit);
  b = UpdateSlot(b, bit);
  c = UpdateSlot(c, bit);
  return bit;
}

/// Codes a decision by one slot alone.
template <typename Coder>
inline bool CodeSlot(Coder& coder, MixedSlot& slot, bool bit) {
  uint32_t one = std::clamp<uint32_t>(slot >> 16, 32, 65504);
  bit = coder.Code(bit, one);
  slot = UpdateSlot(slot, bit);
  return bit;
}

}  // namespace flyweight
