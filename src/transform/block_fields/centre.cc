#include "transform/block_fields/centre.h"

#include <algorithm>

#include "base/bytes.h"

namespace flyweight {
namespace {

constexpr uint64_t kEachByte = 0x0101010101010101;
constexpr size_t kMaxScales = 16;

// The size of an F16: `significand * 2^(exponent - 25)`. Infinity and NaN count as the numbers that would follow.
struct Magnitude {
  int64_t significand = 0;
  int exponent = 0;
  bool negative = false;
};

Magnitude ReadHalf(const std::byte* low, const std::byte* high, size_t block) {
  unsigned bits = std::to_integer<unsigned>(low[block]) | std::to_integer<unsigned>(high[block]) << 8;
  unsigned exponent = (bits >> 10) & 31;
  unsigned hidden = exponent == 0 ? 0 : 1024;
  return {(bits & 1023) | hidden, static_cast<int>(std::max(exponent, 1U)), (bits & 0x8000) != 0};
}

// The quant nearest to minimum / scale, at most `most`; 0 where that would be negative or no number.
uint8_t ZeroQuant(const Magnitude& minimum, int64_t minimum_factor, const Magnitude& scale, int64_t scale_factor,
                  int64_t most) {
  int64_t above = minimum.significand * minimum_factor;
  int64_t below = scale.significand * scale_factor;
  if (below == 0) return 0;
  int shift = minimum.exponent - scale.exponent;
  (shift >= 0 ? above : below) <<= shift >= 0 ? shift : -shift;
  // All but the quotient is exact, which is far enough from the next integer that rounding never reaches it: a quotient
  // of 1 or more has a divisor under 2^21, one under 1 a divisor of at most 2^50.
  auto rounded = static_cast<int64_t>(static_cast<double>(2 * above + below) / static_cast<double>(2 * below));
  return static_cast<uint8_t>(std::min(most, rounded));
}

// The quants that zero falls on, for each scale of a block.
void ZeroQuants(const CentreRule& rule, const ScaleStreams& streams, size_t block, uint8_t* zeros) {
  Magnitude scale = ReadHalf(streams[kScaleStream], streams[kScaleStream + 1], block);
  Magnitude minimum = ReadHalf(streams[kMinimumStream], streams[kMinimumStream + 1], block);
  bool positive = (minimum.negative != rule.negative_minimum) != scale.negative;
  int64_t most = (int64_t{1} << rule.bits) - 1;
  for (size_t i = 0; i < rule.scales; ++i) {
    int64_t scale_factor = 1;
    int64_t minimum_factor = 1;
    if (rule.scales > 1) {
      scale_factor = std::to_integer<int64_t>(streams[kSubScaleStream][block * rule.scales + i]);
      minimum_factor = std::to_integer<int64_t>(streams[kSubMinimumStream][block * rule.scales + i]);
    }
    zeros[i] = positive ? ZeroQuant(minimum, minimum_factor, scale, scale_factor, most) : uint8_t{0};
  }
}

// What is subtracted from each byte of a run: zero minus bias in each field, modulo 2^bits.
uint64_t RunOffsets(const CentreRule& rule, size_t run, const uint8_t* zeros) {
  uint64_t offsets = 0;
  for (size_t f = 0; f < rule.fields; ++f) {
    offsets |= uint64_t{static_cast<uint8_t>(zeros[rule.first[run] + f * rule.step] ^ rule.bias())} << (f * rule.bits);
  }
  return offsets * kEachByte;
}

// Each field plus or minus its offset without a carry into the next; `top` is the highest bit of each field.
template <bool kAdd>
uint64_t Shift(uint64_t quants, uint64_t offsets, uint64_t top) {
  if constexpr (kAdd) return ((quants & ~top) + (offsets & ~top)) ^ ((quants ^ offsets) & top);
  return ((quants | top) - (offsets & ~top)) ^ ((quants ^ ~offsets) & top);
}

template <bool kAdd>
void ShiftQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants) {
  const CentreRule& rule = layout.centre;
  uint64_t top = 0;
  for (size_t f = 0; f < rule.fields; ++f) top |= uint64_t{rule.bias()} << (f * rule.bits);
  const uint64_t tops = top * kEachByte;
  const uint64_t used = ((uint64_t{1} << (rule.bits * rule.fields)) - 1) * kEachByte;
  uint8_t zeros[kMaxScales];
  for (size_t b = 0; b < block_count; ++b) {
    ZeroQuants(rule, scales, b, zeros);
    for (size_t run = 0; run < rule.runs; ++run) {
      uint64_t offsets = RunOffsets(rule, run, zeros);
      for (size_t i = 0; i < rule.lanes; i += 8, quants += 8) {
        StoreLe(quants, Shift<kAdd>(LoadLe<uint64_t>(quants) & used, offsets, tops) & used);
      }
    }
  }
}

}  // namespace

void CentreQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants) {
  ShiftQuants<false>(layout, scales, block_count, quants);
}

void RestoreQuants(const BlockLayout& layout, const ScaleStreams& scales, size_t block_count, std::byte* quants) {
  ShiftQuants<true>(layout, scales, block_count, quants);
}

}  // namespace flyweight
