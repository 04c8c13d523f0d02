#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace flyweight {

// Tables of the mixed codec (docs/format.md section 3.12.3). Every one follows from the constants here by integer
// arithmetic, so that all machines have the same.

/// Logistic values are in units of 1/256 and lie within +-kLogisticLimit.
inline constexpr int kLogisticLimit = 2047;

/// Probabilities, 16 bits, of the logistic values -2048 to 2047: lines between knots 1/2 apart.
inline constexpr std::array<uint16_t, 4096> kSquash = [] {
  constexpr uint32_t kKnots[33] = {22,    36,    60,    98,    162,   267,   439,   720,   1179,  1921,  3108,
                                   4971,  7812,  11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565,
                                   62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};
  std::array<uint16_t, 4096> table{};
  for (uint32_t x = 0; x < 4096; ++x) {
    uint32_t i = x >> 7, f = x & 127;
    uint32_t p = (kKnots[i] * (128 - f) + kKnots[i + 1] * f + 64) >> 7;
    table[x] = static_cast<uint16_t>(std::clamp<uint32_t>(p, 32, 65504));
  }
  return table;
}();

/// The logistic value of a probability of 12 bits: the smallest whose squashed value is not under its middle.
inline constexpr std::array<int16_t, 4096> kStretch = [] {
  std::array<int16_t, 4096> table{};
  int x = -kLogisticLimit;
  for (uint32_t p = 0; p < 4096; ++p) {
    while (x < kLogisticLimit && kSquash[static_cast<size_t>(x + 2048)] < p * 16 + 8) ++x;
    table[p] = static_cast<int16_t>(x);
  }
  return table;
}();

/// 2^16 * 2^(-f / 16), rounded.
inline constexpr std::array<uint32_t, 16> kInversePower = {65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393,
                                                           46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219};

/// 2^16 / n.
inline constexpr std::array<uint32_t, 1024> kReciprocal = [] {
  std::array<uint32_t, 1024> table{};
  for (uint32_t n = 1; n < 1024; ++n) table[n] = 65536 / n;
  return table;
}();

/// How fast a slot that was used n times adapts, in units of 2^-16.
inline constexpr uint32_t kSlotLimit = 1023;
inline constexpr std::array<uint16_t, kSlotLimit + 1> kSlotRate = [] {
  std::array<uint16_t, kSlotLimit + 1> table{};
  for (uint32_t n = 0; n <= kSlotLimit; ++n) table[n] = static_cast<uint16_t>(655360 / (10 * n + 20));
  return table;
}();

/// The level of a prediction that is t / 32 of the expected magnitude.
inline constexpr uint32_t kLevelCount = 11;
inline constexpr std::array<uint8_t, 128> kLevel = [] {
  constexpr uint32_t kSteps[kLevelCount - 1] = {2, 5, 9, 14, 20, 28, 40, 56, 80, 120};
  std::array<uint8_t, 128> table{};
  for (uint32_t t = 0; t < 128; ++t)
    for (uint32_t step : kSteps) table[t] = static_cast<uint8_t>(table[t] + (t >= step ? 1 : 0));
  return table;
}();

}  // namespace flyweight
