#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

// Ascending numbers of words as the gaps between them (docs/format.md section 3.14.4): how many words that are not
// listed stand before each.

/// Most low bits of a gap that stand apart in a Rice code.
inline constexpr uint8_t kMaxRice = 20;

/// Gaps as Rice codes (Rice, "Some practical universal noiseless coding techniques"): gap >> k zero bits, a one bit and
/// the low k bits; bits least significant first.
uint8_t ChooseRice(std::span<const uint32_t> places);
size_t RiceBytes(std::span<const uint32_t> places, uint8_t k);
void WriteRice(std::span<const uint32_t> places, uint8_t k, std::byte* target);

/// Reads as many places as there are, under `word_count`, and returns how many bytes they took. Errors: kCorrupt where
/// the bytes do not hold them.
Result<size_t> ReadRice(ByteSpan bytes, uint8_t k, size_t word_count, std::span<uint32_t> places);

/// Gaps as bytes; 255 stands for 255 words and no place.
void GapsToBytes(std::span<const uint32_t> places, std::vector<std::byte>& gaps);

/// Errors: kCorrupt where the gaps do not give exactly the places.
Status GapsFromBytes(ByteSpan gaps, size_t word_count, std::span<uint32_t> places);

}  // namespace flyweight
