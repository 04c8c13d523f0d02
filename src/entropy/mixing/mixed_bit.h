#pragma once

#include <algorithm>
#include <cstdint>

#include "entropy/mixing/mixing_tables.h"

namespace flyweight {

/// An adaptive probability: 22 bits of it above 10 bits that count its uses.
using MixedSlot = uint32_t;
inline constexpr MixedSlot kFreshSlot = MixedSlot{1} << 31;

/// How much each of the three slots of a decision counts, in units of 2^-16.
struct MixedWeights {
  uint32_t a = 22938, b = 22938, c = 22938;  // two's complement, modulo 2^32
};

inline MixedSlot UpdateSlot(MixedSlot slot, bool bit) {
  auto probability = static_cast<int64_t>(slot >> 10);
  uint32_t uses = slot & 1023;
  int64_t target = -int64_t{bit} & ((1 << 22) - 1);
  probability += ((target - probability) * kSlotRate[uses]) >> 16;
  return static_cast<MixedSlot>(probability << 10) | std::min(uses + 1, kSlotLimit);
}

/// A decision whose probability is the logistic mix of three slots (docs/format.md section 3.12.3). Source: Mahoney,
/// "Adaptive weighing of context models for lossless data compression", 2005.
class MixedDecision {
 public:
  MixedDecision(MixedSlot& a, MixedSlot& b, MixedSlot& c, MixedWeights& weights)
      : a_(&a),
        b_(&b),
        c_(&c),
        weights_(&weights),
        input_a_(kStretch[a >> 20]),
        input_b_(kStretch[b >> 20]),
        input_c_(kStretch[c >> 20]) {
    int64_t sum = int64_t{input_a_} * static_cast<int32_t>(weights.a) +
                  int64_t{input_b_} * static_cast<int32_t>(weights.b) +
                  int64_t{input_c_} * static_cast<int32_t>(weights.c);
    auto mixed = static_cast<int>(std::clamp<int64_t>(sum >> 16, -kLogisticLimit, kLogisticLimit));
    one_ = kSquash[static_cast<size_t>(mixed + 2048)];
  }

  /// Codes the decision, then teaches slots and weights.
  template <typename Coder>
  bool Code(Coder& coder, bool bit) {
    bit = coder.Code(bit, static_cast<uint32_t>(one_));
    const int32_t error = (-int32_t{bit} & 65535) - one_;
    weights_->a += Lesson(input_a_, error);
    weights_->b += Lesson(input_b_, error);
    weights_->c += Lesson(input_c_, error);
    *a_ = UpdateSlot(*a_, bit);
    *b_ = UpdateSlot(*b_, bit);
    *c_ = UpdateSlot(*c_, bit);
    return bit;
  }

 private:
  static uint32_t Lesson(int32_t input, int32_t error) {
    return static_cast<uint32_t>((input * error + (1 << 14)) >> 15);
  }

  MixedSlot* a_;
  MixedSlot* b_;
  MixedSlot* c_;
  MixedWeights* weights_;
  int32_t input_a_;
  int32_t input_b_;
  int32_t input_c_;
  int32_t one_;
};

/// Codes a decision by the mean of two slots.
template <typename Coder>
inline bool CodeMean(Coder& coder, MixedSlot& a, MixedSlot& b, bool bit) {
  uint32_t one = std::clamp<uint32_t>(((a >> 10) + (b >> 10)) >> 7, 32, 65504);
  bit = coder.Code(bit, one);
  a = UpdateSlot(a, bit);
  b = UpdateSlot(b, bit);
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
