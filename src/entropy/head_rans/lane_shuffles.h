#pragma once

#include <cstdint>

namespace flyweight {

/// Byte shuffles for 8 lanes: `compress[half][m]` moves the bytes at the set bits of m to the upper end of 8 bytes, for
/// bytes of the lower and the upper half of 16; 0x80, which is in no register, gives the bytes below them.
struct LaneShuffles {
  alignas(16) uint8_t compress[2][256][8];
};

constexpr LaneShuffles MakeLaneShuffles() {
  LaneShuffles s{};
  for (int m = 0; m < 256; ++m) {
    int count = __builtin_popcount(static_cast<unsigned>(m)), k = 0;
    for (int i = 0; i < 8; ++i) {
      s.compress[0][m][i] = 0x80;
      s.compress[1][m][i] = 0x80;
    }
    for (int i = 0; i < 8; ++i) {
      if (!(m >> i & 1)) continue;
      s.compress[0][m][8 - count + k] = static_cast<uint8_t>(i);
      s.compress[1][m][8 - count + k] = static_cast<uint8_t>(i + 8);
      ++k;
    }
  }
  return s;
}

inline constexpr LaneShuffles kLaneShuffles = MakeLaneShuffles();

}  // namespace flyweight
