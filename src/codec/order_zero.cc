#include "codec/order_zero.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

constexpr size_t kRuns = 64;
constexpr size_t kRunWords = 64;

// Log2Fixed units that the bytes behind these counts take.
uint64_t UnitsOf(const std::array<uint32_t, 256>& counts, uint64_t total) {
  const auto whole = static_cast<uint64_t>(Log2Fixed(total));
  uint64_t units = 0;
  for (uint32_t count : counts) {
    if (count != 0) units += count * (whole - static_cast<uint64_t>(Log2Fixed(count)));
  }
  return units;
}

}  // namespace

size_t EstimateOrderZero(ByteSpan chunk, size_t word_bytes) {
  const size_t word_count = chunk.size() / word_bytes;
  if (word_count == 0) return 0;
  const bool is_whole = word_count <= kRuns * kRunWords;
  const size_t run_words = is_whole ? word_count : kRunWords;
  const size_t runs = is_whole ? 1 : kRuns;
  std::array<std::array<uint32_t, 256>, 8> counts{};
  for (size_t run = 0; run < runs; ++run) {
    const std::byte* at = chunk.data() + (is_whole ? 0 : (word_count - run_words) / (runs - 1) * run) * word_bytes;
    for (size_t i = 0; i < run_words; ++i) {
      for (size_t plane = 0; plane < word_bytes; ++plane) ++counts[plane][static_cast<uint8_t>(*at++)];
    }
  }
  const uint64_t sampled = uint64_t{runs} * run_words;
  uint64_t units = 0;
  for (size_t plane = 0; plane < word_bytes; ++plane) units += UnitsOf(counts[plane], sampled);
  const double words = static_cast<double>(word_count) / static_cast<double>(sampled);
  return static_cast<size_t>(static_cast<double>(units >> kLog2FractionBits) / 8 * words);
}

}  // namespace flyweight
