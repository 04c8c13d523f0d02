#include "transform/palette/value_table.h"

#include <algorithm>

namespace flyweight {
namespace {

constexpr size_t kSampleRuns = 16;
constexpr size_t kSampleRunElements = 64;
// 128 draws from 256 equally likely values show 101 of them, give or take 4; fewer where they are less equal.
constexpr size_t kFirstLookRuns = 2;
constexpr size_t kMostForFirstLook = 256;
constexpr size_t kFirstLookLimit = 114;

}  // namespace

void ValueTable::Clear() {
  // Backwards, so that a value that was pushed out of its slot is still found behind the one that took it.
  while (!values_.empty()) {
    size_t slot = SlotOf(values_.back().value);
    while (slots_[slot] != values_.size() - 1) slot = (slot + 1) % kSlotCount;
    slots_[slot] = kEmpty;
    values_.pop_back();
  }
}

template <typename Element>
bool ValueTable::AddAll(ByteSpan elements, size_t limit, uint16_t* places) {
  const size_t count = elements.size() / sizeof(Element);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t value = LoadLe<Element>(elements.data() + i * sizeof(Element));
    size_t slot = SlotOf(value);
    while (slots_[slot] != kEmpty && values_[slots_[slot]].value != value) slot = (slot + 1) % kSlotCount;
    if (slots_[slot] == kEmpty) {
      if (values_.size() == limit) return false;
      slots_[slot] = static_cast<uint16_t>(values_.size());
      values_.push_back({value, 0});
    }
    places[i] = slots_[slot];
    ++values_[places[i]].count;
  }
  return true;
}

bool ValueTable::Add(ByteSpan elements, size_t element_bytes, size_t limit, uint16_t* places) {
  switch (element_bytes) {
    case 1:
      return AddAll<uint8_t>(elements, limit, places);
    case 2:
      return AddAll<uint16_t>(elements, limit, places);
    case 4:
      return AddAll<uint32_t>(elements, limit, places);
    default:
      return AddAll<uint64_t>(elements, limit, places);
  }
}

template <typename Element>
bool DistinctMeter::AddRun(ByteSpan run, size_t limit) {
  for (size_t i = 0; i < run.size(); i += sizeof(Element)) {
    uint64_t value = LoadLe<Element>(run.data() + i);
    auto bit = static_cast<uint16_t>((value * 0x9E3779B97F4A7C15ULL) >> 48);
    uint64_t mask = uint64_t{1} << (bit % 64);
    if ((bits_[bit / 64] & mask) != 0) continue;
    bits_[bit / 64] |= mask;
    taken_.push_back(bit);
    if (taken_.size() > limit) return false;
  }
  return true;
}

bool DistinctMeter::AtMost(ByteSpan elements, size_t element_bytes, size_t limit) {
  const size_t count = elements.size() / element_bytes;
  const size_t run_elements = std::min(count, kSampleRunElements);
  bool few = true;
  taken_.clear();
  for (size_t r = 0; r < kSampleRuns && few; ++r) {
    // From both ends inwards, so that the first runs lie far apart.
    size_t place = r % 2 == 0 ? r / 2 : kSampleRuns - 1 - r / 2;
    size_t first = (count - run_elements) / (kSampleRuns - 1) * place;
    ByteSpan run = elements.subspan(first * element_bytes, run_elements * element_bytes);
    few = element_bytes == 2   ? AddRun<uint16_t>(run, limit)
          : element_bytes == 4 ? AddRun<uint32_t>(run, limit)
                               : AddRun<uint64_t>(run, limit);
    // As many equally likely values repeat themselves more than that in as few draws.
    if (r == kFirstLookRuns - 1 && limit <= kMostForFirstLook && taken_.size() > kFirstLookLimit) few = false;
  }
  for (uint16_t bit : taken_) bits_[bit / 64] = 0;
  return few;
}

}  // namespace flyweight
