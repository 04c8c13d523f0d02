#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace flyweight::test {

/// A source of reproducible choices: a seed gives the same draws on every machine and with every standard library. Made
/// from a fuzzer's bytes it first hands out those, so that the fuzzer steers the early choices, then goes on as a
/// generator seeded by them.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  explicit Random(std::span<const std::byte> fuzz_bytes) : fuzz_bytes_(fuzz_bytes) {
    for (std::byte byte : fuzz_bytes) state_ = state_ * 0x100000001B3 + std::to_integer<uint64_t>(byte);
  }

  /// 64 uniform bits. Source of the mixing: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
  /// generators").
  uint64_t Bits() {
    if (!fuzz_bytes_.empty()) return TakeFuzzBytes();
    state_ += 0x9E3779B97F4A7C15;
    uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
    return mixed ^ (mixed >> 31);
  }

  /// Uniform in [0, bound). Precondition: bound > 0.
  uint64_t Below(uint64_t bound) {
    return bound <= UINT32_MAX ? ((Bits() & UINT32_MAX) * bound) >> 32 : Bits() % bound;
  }

  /// Uniform in [first, last], both included.
  uint64_t Between(uint64_t first, uint64_t last) {
    uint64_t width = last - first + 1;
    return width == 0 ? Bits() : first + Below(width);
  }

  /// True once in `n` draws.
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  /// Uniform in [0, 1).
  double Unit() { return static_cast<double>(Bits() >> 11) * 0x1p-53; }

  /// Mean 0, deviation 1, within +-6: the sum of twelve uniforms, which is exact and so the same everywhere.
  double Gaussian() {
    int64_t sum = 0;
    for (int pair = 0; pair < 6; ++pair) {
      uint64_t bits = Bits();
      sum += static_cast<int64_t>(bits & UINT32_MAX) + static_cast<int64_t>(bits >> 32);
    }
    return std::ldexp(static_cast<double>(sum - 6 * (int64_t{1} << 32) + 6), -32);
  }

  /// A size that likes edges: 0, 1, powers of two and their neighbours, else uniform in [0, limit].
  size_t Size(size_t limit) {
    uint64_t kind = Below(4);
    uint64_t size = Between(0, limit);
    if (kind == 0) size = Below(4);
    if (kind == 1) size = (uint64_t{1} << Below(40)) + Below(3) - 1;
    return static_cast<size_t>(std::min<uint64_t>(size, limit));
  }

  void Fill(std::span<std::byte> target) {
    while (!target.empty()) {
      uint64_t bits = Bits();
      size_t count = std::min(target.size(), sizeof bits);
      std::memcpy(target.data(), &bits, count);
      target = target.subspan(count);
    }
  }

  std::vector<std::byte> Bytes(size_t count) {
    std::vector<std::byte> bytes(count);
    Fill(bytes);
    return bytes;
  }

  /// Fuzzer bytes that were not handed out yet, for targets that want the rest as it is.
  std::span<const std::byte> remaining_fuzz_bytes() const { return fuzz_bytes_; }

 private:
  uint64_t TakeFuzzBytes() {
    uint64_t bits = 0;
    size_t count = std::min(fuzz_bytes_.size(), sizeof bits);
    std::memcpy(&bits, fuzz_bytes_.data(), count);
    fuzz_bytes_ = fuzz_bytes_.subspan(count);
    return bits;
  }

  std::span<const std::byte> fuzz_bytes_;
  uint64_t state_ = 0;
};

}  // namespace flyweight::test
