#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

inline constexpr int kHeadSlots = 256;
inline constexpr int kMaxPalette = 16;
inline constexpr int kMaxSecondPalette = 15;

/// The model of one record or chunk (docs/format.md section 3.5.2): up to 16 exponents, each with a frequency for its
/// top mantissa bit being 0 and 1, out of 256 slots; and a second palette of exponents that patches name with 4 bits.
struct HeadTable {
  uint8_t count = 0;
  uint8_t second_count = 0;
  std::array<uint8_t, kMaxPalette> exponents{};
  std::array<uint8_t, kMaxSecondPalette> second{};
  std::array<uint8_t, kMaxPalette> frequency0{};
  std::array<uint8_t, kMaxPalette> frequency1{};
};

/// Counts of symbols: index 2 * exponent + bit.
using HeadHistogram = std::array<uint32_t, 512>;

/// Builds the cheapest table for a histogram, which may be a sample: every exponent of the palette keeps a slot for
/// both bits, and exponents outside it are patched. Precondition: the histogram is not empty. The order of the palette
/// keeps symbol borders apart, which the AVX2 decoder's lookup wants.
HeadTable BuildHeadTable(const HeadHistogram& histogram);

/// Estimated bits that the histogram's words cost with `table`, patches included, table not.
double EstimateHeadBits(const HeadTable& table, const HeadHistogram& histogram);

/// Order-0 entropy of the histogram, in bits for all its words: what no table beats.
double HeadEntropyBits(const HeadHistogram& histogram);

size_t HeadTableBytes(const HeadTable& table);
void WriteHeadTable(const HeadTable& table, ByteWriter& writer);

/// Errors: kTruncated; kCorrupt where counts, exponents or frequencies break a rule of the format.
Result<HeadTable> ReadHeadTable(ReadCursor& cursor);

}  // namespace flyweight
