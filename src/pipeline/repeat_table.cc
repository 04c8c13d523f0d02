#include "pipeline/repeat_table.h"

#include <algorithm>
#include <bit>

namespace flyweight {
namespace {

constexpr uint64_t kFilterBitsAnEntry = 16;
constexpr uint64_t kMinEntries = 64;

// Odd, without pattern: the fraction of the golden ratio, then steps of SplitMix64 from 1, all made odd.
constexpr uint64_t kFactors[] = {0x9E3779B97F4A7C15, 0x910A2DEC89025CC1, 0xBEEB8DA1658EEC67, 0xF893A2EEFB32555F,
                                 0x71C18690EE42C90B, 0x71BB54D8D101B5B9, 0xC34D0BFF90150281, 0xE099EC6CD7363CA5};

}  // namespace

RepeatTable::RepeatTable(uint64_t entry_max_count) {
  uint64_t entry_count = std::bit_ceil(std::max(entry_max_count, kMinEntries));
  entries_.resize(static_cast<size_t>(2 * entry_count));
  uint64_t filter_bits = entry_count * kFilterBitsAnEntry;
  filter_.resize(static_cast<size_t>(filter_bits / 64));
  filter_shift_ = 64 - static_cast<unsigned>(std::countr_zero(filter_bits));
}

std::optional<uint64_t> RepeatTable::HashWindow(const std::byte* bytes) {
  uint64_t words[kWindowBytes / 8];
  std::memcpy(words, bytes, kWindowBytes);
  if (std::memcmp(bytes, bytes + 8, kWindowBytes - 8) == 0) return std::nullopt;
  uint64_t even = 0;
  uint64_t odd = 0;
  for (size_t i = 0; i < kWindowBytes / 8; i += 2) {
    even += (words[i] ^ (words[i] >> 32)) * kFactors[i];
    odd += (words[i + 1] ^ (words[i + 1] >> 32)) * kFactors[i + 1];
  }
  uint64_t hash = even ^ std::rotl(odd, 32);
  return (hash ^ (hash >> 29)) * kFactors[0];
}

std::optional<uint64_t> RepeatTable::Find(uint64_t hash) const {
  uint64_t bit = hash >> filter_shift_;
  if ((filter_[static_cast<size_t>(bit / 64)] >> (bit % 64) & 1) == 0) return std::nullopt;
  size_t mask = entries_.size() - 1;
  for (size_t probe = 0; probe < kProbes; ++probe) {
    const Entry& entry = entries_[(static_cast<size_t>(hash) + probe) & mask];
    if (entry.position_plus_one == 0) return std::nullopt;
    if (entry.hash == hash) return entry.position_plus_one - 1;
  }
  return std::nullopt;
}

void RepeatTable::Insert(uint64_t hash, uint64_t position) {
  size_t mask = entries_.size() - 1;
  for (size_t probe = 0; probe < kProbes; ++probe) {
    Entry& entry = entries_[(static_cast<size_t>(hash) + probe) & mask];
    if (entry.position_plus_one != 0 && entry.hash == hash) return;
    if (entry.position_plus_one != 0) continue;
    entry = {hash, position + 1};
    uint64_t bit = hash >> filter_shift_;
    filter_[static_cast<size_t>(bit / 64)] |= uint64_t{1} << (bit % 64);
    return;
  }
}

}  // namespace flyweight
