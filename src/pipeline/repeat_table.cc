#include "pipeline/repeat_table.h"

#include <algorithm>
#include <bit>

namespace flyweight {
namespace {

constexpr uint64_t kFilterBitsAnEntry = 16;
constexpr uint64_t kMinEntries = 64;

}  // namespace

RepeatTable::RepeatTable(uint64_t entry_max_count) : free_count_(entry_max_count) {
  uint64_t entry_count = std::max(entry_max_count, kMinEntries);
  entries_.resize(static_cast<size_t>(std::bit_ceil(entry_count + entry_count / 2)));
  uint64_t filter_bits = std::bit_ceil(entry_count * kFilterBitsAnEntry / 2);
  filter_.resize(static_cast<size_t>(filter_bits / 64));
  filter_shift_ = 64 - static_cast<unsigned>(std::countr_zero(filter_bits));
}

std::optional<uint32_t> RepeatTable::FindEntry(uint64_t hash) const {
  size_t mask = entries_.size() - 1;
  for (size_t probe = 0; probe < kProbes; ++probe) {
    const Entry& entry = entries_[(static_cast<size_t>(hash) + probe) & mask];
    if (entry.place_plus_one == 0) return std::nullopt;
    if (entry.tag == TagOf(hash)) return entry.place_plus_one - 1;
  }
  return std::nullopt;
}

void RepeatTable::Insert(uint64_t hash, uint32_t place) {
  if (free_count_ == 0) return;
  size_t mask = entries_.size() - 1;
  for (size_t probe = 0; probe < kProbes; ++probe) {
    Entry& entry = entries_[(static_cast<size_t>(hash) + probe) & mask];
    if (entry.place_plus_one != 0 && entry.tag == TagOf(hash)) return;
    if (entry.place_plus_one != 0) continue;
    entry = {TagOf(hash), place + 1};
    --free_count_;
    uint64_t bit = hash >> filter_shift_;
    filter_[static_cast<size_t>(bit / 64)] |= uint64_t{1} << (bit % 64);
    return;
  }
}

}  // namespace flyweight
