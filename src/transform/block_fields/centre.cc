#include "transform/block_fields/centre.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"

namespace flyweight {
namespace {

constexpr uint64_t kEachByte = 0x0101010101010101;
constexpr size_t kMaxScales = 16;

struct Half {
  double magnitude = 0;  // times 2^25
  bool negative = false;
};

// Infinity and NaN count as the numbers that would follow the largest.
Half ReadHalf(const std::byte* low, const std::byte* high, size_t block) {
  unsigned bits = std::to_integer<unsigned>(low[block]) | std::to_integer<unsigned>(high[block]) << 8;
  unsigned exponent = (bits >> 10) & 31;
  unsigned significand = (bits & 1023) + (exponent == 0 ? 0 : 1024);
  auto power = std::bit_cast<double>(uint64_t{1023 + std::max(exponent, 1U)} << 52);
  return {static_cast<double>(static_cast<int>(significand)) * power, (bits & 0x8000) != 0};
}

double ToDouble(std::byte byte) { return static_cast<double>(std::to_integer<int>(byte)); }

// The quant nearest to minimum / scale, at most `most`; 0 where that is no number. All but the quotient is exact: F16
// significands, factors of 8 bits and exponents that differ by at most 30 fit 53 bits. The quotient is far enough from
// the next integer that rounding never reaches it: one of 1 or more has a divisor under 2^21 units of the dividend, one
// under 1 a divisor of at most 2^51.
uint8_t ZeroQuant(double minimum, double scale, bool positive, double most) {
  bool counts = positive && scale != 0;
  double dividend = counts ? 2 * minimum + scale : 0;
  double divisor = counts ? 2 * scale : 1;
  return static_cast<uint8_t>(static_cast<int>(std::min(most, dividend / divisor)));
}

// The quants that zero falls on, for each scale of a block.
void ZeroQuants(const CentreRule& rule, const ScaleStreams& streams, size_t block, uint8_t* zeros) {
  Half scale = ReadHalf(streams[kScaleStream], streams[kScaleStream + 1], block);
  Half minimum = ReadHalf(streams[kMinimumStream], streams[kMinimumStream + 1], block);
  bool positive = (minimum.negative != rule.negative_minimum) != scale.negative;
  auto most = static_cast<double>((1 << rule.bits) - 1);
  if (rule.scales == 1) {
    zeros[0] = ZeroQuant(minimum.magnitude, scale.magnitude, positive, most);
    return;
  }
  const std::byte* scale_factors = streams[kSubScaleStream] + block * rule.scales;
  const std::byte* minimum_factors = streams[kSubMinimumStream] + block * rule.scales;
  for (size_t i = 0; i < rule.scales; ++i) {
    zeros[i] = ZeroQuant(minimum.magnitude * ToDouble(minimum_factors[i]), scale.magnitude * ToDouble(scale_factors[i]),
                         positive, most);
  }
}

// Each field plus or minus its offset without a carry into the next; `top` has the highest bit of each field.
template <bool kAdd>
uint64_t Shift(uint64_t quants, uint64_t offsets, uint64_t top) {
  if constexpr (kAdd) return ((quants & ~top) + (offsets & ~top)) ^ ((quants ^ offsets) & top);
  return ((quants | top) - (offsets & ~top)) ^ ((quants ^ ~offsets) & top);
}

// For runs of `kLanes` bytes of `kFields` quants of `kBits` bits each.
template <bool kAdd, unsigned kBits, unsigned kFields, size_t kLanes>
void ShiftQuants(const CentreRule& given, const ScaleStreams& given_scales, size_t block_count, std::byte* quants) {
  constexpr uint64_t kUsed = ((uint64_t{1} << (kBits * kFields)) - 1) * kEachByte;
  constexpr uint64_t kBias = uint64_t{1} << (kBits - 1);
  constexpr uint64_t kTop = kUsed / ((uint64_t{1} << kBits) - 1) * kBias;
  const CentreRule rule = given;  // copies that no store can change
  const ScaleStreams scales = given_scales;
  uint8_t zeros[kMaxScales];
  for (size_t b = 0; b < block_count; ++b) {
    ZeroQuants(rule, scales, b, zeros);
    for (size_t run = 0; run < rule.runs; ++run) {
      uint64_t offsets = 0;  // zero minus bias, modulo 2^kBits
      for (unsigned f = 0; f < kFields; ++f) offsets |= (zeros[rule.first[run] + f * rule.step] ^ kBias) << (f * kBits);
      offsets *= kEachByte;
      for (size_t i = 0; i < kLanes; i += 8, quants += 8) {
        StoreLe(quants, Shift<kAdd>(LoadLe<uint64_t>(quants) & kUsed, offsets, kTop) & kUsed);
      }
    }
  }
}

template <bool kAdd>
void ShiftAll(const CentreRule& rule, const ScaleStreams& scales, size_t block_count, std::byte* quants) {
  if (rule.bits == 2) return ShiftQuants<kAdd, 2, 4, 16>(rule, scales, block_count, quants);
  if (rule.bits == 5) return ShiftQuants<kAdd, 5, 1, 32>(rule, scales, block_count, quants);
  if (rule.lanes == 16) return ShiftQuants<kAdd, 4, 2, 16>(rule, scales, block_count, quants);
  ShiftQuants<kAdd, 4, 2, 32>(rule, scales, block_count, quants);
}

}  // namespace

void CentreQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants) {
  ShiftAll<false>(layout.centre, scales, block_count, quants);
}

void RestoreQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants) {
  ShiftAll<true>(layout.centre, scales, block_count, quants);
}

}  // namespace flyweight
