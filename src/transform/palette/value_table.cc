#include "transform/palette/value_table.h"

namespace flyweight {

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

}  // namespace flyweight
