#include "transform/palette/palette.h"

#include <algorithm>

namespace flyweight {
namespace {

template <typename Element>
void Expand(const uint64_t* palette, ByteSpan indices, std::byte* elements) {
  Element narrow[kMaxPaletteEntries];
  for (size_t e = 0; e < kMaxPaletteEntries; ++e) narrow[e] = static_cast<Element>(palette[e]);
  for (size_t i = 0; i < indices.size(); ++i)
    StoreLe(elements + i * sizeof(Element), narrow[static_cast<uint8_t>(indices[i])]);
}

}  // namespace

void ExpandPalette(const uint64_t* palette, size_t element_bytes, ByteSpan indices, std::byte* elements) {
  switch (element_bytes) {
    case 2:
      return Expand<uint16_t>(palette, indices, elements);
    case 4:
      return Expand<uint32_t>(palette, indices, elements);
    default:
      return Expand<uint64_t>(palette, indices, elements);
  }
}

uint8_t LargestByte(ByteSpan bytes) {
  // Lanes keep the loop free of a chain of dependences, so that it is vectorised.
  constexpr size_t kLanes = 32;
  uint8_t largest[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= bytes.size(); i += kLanes) {
    for (size_t l = 0; l < kLanes; ++l) largest[l] = std::max(largest[l], static_cast<uint8_t>(bytes[i + l]));
  }
  for (; i < bytes.size(); ++i) largest[0] = std::max(largest[0], static_cast<uint8_t>(bytes[i]));
  return *std::max_element(largest, largest + kLanes);
}

}  // namespace flyweight
