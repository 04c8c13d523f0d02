#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace flyweight {

/// Where windows of content were seen first, by their hashes. Looking up what is not there costs one bit of a filter
/// that stays in the cache. Equal hashes are a guess: whoever uses one compares bytes.
class RepeatTable {
 public:
  /// Bytes of a window: enough that those of weights of few distinct values differ.
  static constexpr size_t kWindowBytes = 32;

  /// Memory: 13 to 26 bytes an entry.
  explicit RepeatTable(uint64_t entry_max_count);

  /// Whether a window says nothing: bytes of period 8, as zeros are, are everywhere and cost next to nothing anyway.
  static bool IsFlat(const std::byte* window) {
    return LoadLe<uint64_t>(window) == LoadLe<uint64_t>(window + 8) &&
           LoadLe<uint64_t>(window) == LoadLe<uint64_t>(window + 24);
  }

  static uint64_t HashWindow(const std::byte* window) {
    // Factors are odd and without pattern: the fraction of the golden ratio, and others of that kind.
    uint64_t even = Folded(window) * 0x9E3779B97F4A7C15 + Folded(window + 16) * 0xBEEB8DA1658EEC67;
    uint64_t odd = Folded(window + 8) * 0x910A2DEC89025CC1 + Folded(window + 24) * 0xF893A2EEFB32555F;
    uint64_t hash = even ^ (odd >> 32) ^ (odd << 32);
    return (hash ^ (hash >> 29)) * 0x9E3779B97F4A7C15;
  }

  /// The place that was inserted first with this hash, or with one that looks the same.
  std::optional<uint32_t> Find(uint64_t hash) const {
    uint64_t bit = hash >> filter_shift_;
    if ((filter_[static_cast<size_t>(bit / 64)] >> (bit % 64) & 1) == 0) return std::nullopt;
    return FindEntry(hash);
  }

  /// Does nothing where the hash is there already or the table is full. `place` is under 2^32 - 1.
  void Insert(uint64_t hash, uint32_t place);

 private:
  struct Entry {
    uint32_t tag = 0;
    uint32_t place_plus_one = 0;  ///< 0: empty
  };
  static constexpr size_t kProbes = 8;

  static uint64_t Folded(const std::byte* bytes) {
    auto word = LoadLe<uint64_t>(bytes);
    return word ^ (word >> 32);
  }
  static uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 24); }
  std::optional<uint32_t> FindEntry(uint64_t hash) const;

  uint64_t free_count_;
  unsigned filter_shift_;
  std::vector<uint64_t> filter_;
  std::vector<Entry> entries_;
};

}  // namespace flyweight
