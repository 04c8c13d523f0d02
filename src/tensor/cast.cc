#include "tensor/cast.h"

namespace flyweight {
namespace {

constexpr uint32_t kMagnitudeMask = 0x7FFFFFFF;
constexpr uint32_t kInfinity = 0x7F800000;

uint16_t ToBF16(uint32_t bits) {
  uint32_t rounded = (bits + ((bits >> 16) & 1) + 0x7FFF) >> 16;
  uint32_t quiet = (bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits & kMagnitudeMask) > kInfinity ? quiet : rounded);
}

uint16_t Truncated(uint32_t bits) { return static_cast<uint16_t>(bits >> 16); }

/// The integer nearest to value / 2^shift, ties to even. Precondition: 1 <= shift <= 31.
uint32_t RoundedShift(uint32_t value, uint32_t shift) {
  uint32_t half = uint32_t{1} << (shift - 1);
  return (value + (half - 1) + ((value >> shift) & 1)) >> shift;
}

uint16_t ToF16(uint32_t bits) {
  constexpr uint32_t kRebias = (127 - 15) << 23;      // from the exponent of F32 to that of F16
  constexpr uint32_t kSmallestNormal = 113u << 23;    // 2^-14
  constexpr uint32_t kRoundsToInfinity = 0x477FF000;  // 65520
  constexpr uint32_t kRoundsToZero = 102u << 23;      // 2^-25: a tie, and to even is 0
  uint32_t sign = (bits >> 16) & 0x8000;
  uint32_t magnitude = bits & kMagnitudeMask;
  uint32_t half;
  if (magnitude > kInfinity) {
    half = 0x7E00 | ((magnitude >> 13) & 0x3FF);
  } else if (magnitude >= kRoundsToInfinity) {
    half = 0x7C00;
  } else if (magnitude >= kSmallestNormal) {
    half = RoundedShift(magnitude - kRebias, 13);
  } else if (magnitude > kRoundsToZero) {
    uint32_t significand = (magnitude & 0x7FFFFF) | 0x800000;
    half = RoundedShift(significand, 126 - (magnitude >> 23));
  } else {
    half = 0;
  }
  return static_cast<uint16_t>(sign | half);
}

template <uint16_t (*kCast)(uint32_t)>
void CastAll(ByteSpan source, MutableByteSpan target) {
  size_t count = target.size() / sizeof(uint16_t);
  for (size_t i = 0; i < count; ++i) StoreLe(target.data() + 2 * i, kCast(LoadLe<uint32_t>(source.data() + 4 * i)));
}

}  // namespace

void CastFromF32(CastMethod method, ByteSpan source, MutableByteSpan target) {
  switch (method) {
    case CastMethod::kBF16:
      return CastAll<ToBF16>(source, target);
    case CastMethod::kBF16Truncated:
      return CastAll<Truncated>(source, target);
    case CastMethod::kF16:
      return CastAll<ToF16>(source, target);
  }
}

}  // namespace flyweight
