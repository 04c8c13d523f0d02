#pragma once

#include "base/bytes.h"

namespace flyweight {

inline constexpr size_t kMaxPaletteEntries = 256;

/// Writes palette[index] for each index. `palette` holds elements of 2, 4 or 8 bytes as unsigned integers; all 256
/// entries are readable, so no index is out of bounds.
void ExpandPalette(const uint64_t* palette, size_t element_bytes, ByteSpan indices, std::byte* elements);

/// The largest of some bytes; 0 where there are none.
uint8_t LargestByte(ByteSpan bytes);

}  // namespace flyweight
