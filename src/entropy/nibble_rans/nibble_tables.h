#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

inline constexpr size_t kNibbleSymbols = 16;
inline constexpr size_t kNibbleTables = 16;
inline constexpr size_t kNibbleContexts = 64;
inline constexpr int kNibbleSlots = 256;

/// How often each symbol occurs in each context.
using NibbleCounts = std::array<std::array<uint64_t, kNibbleSymbols>, kNibbleContexts>;

/// The model of nibble rANS (docs/format.md section 3.14.3): frequencies of 16 symbols out of 256 slots in each of up
/// to 16 tables, and which of them a context uses. Contexts that share a table are neighbours. Symbol 0 has 1 to 255
/// slots in every table, so that no frequency is 256.
struct NibbleTables {
  size_t table_count = 1;
  std::array<uint8_t, kNibbleContexts> table_of_context{};
  std::array<std::array<uint8_t, kNibbleSymbols>, kNibbleTables> frequency{};
};

/// Adds `count` pairs of context (under 64) and symbol (under 16) to `counts`.
void CountNibbles(const uint8_t* contexts, const uint8_t* symbols, size_t count, NibbleCounts& counts);

/// The cheapest tables for the counts, their own bytes included: neighbouring contexts are put together where it costs
/// least. Every symbol that occurs in a context can be coded there, others perhaps not. Integers only, so that every
/// machine builds the same tables. Precondition: at most 2^40 symbols were counted.
NibbleTables BuildNibbleTables(const NibbleCounts& counts);

/// Bits that symbols with these counts take, tables not included. Precondition: they can all be coded.
uint64_t EstimateNibbleBits(const NibbleTables& tables, const NibbleCounts& counts);

/// Writes tables: 1 to 16 bits of each context and frequency tables of section 3.7.1.
void WriteNibbleTables(const NibbleTables& tables, ByteWriter& writer);

/// Errors: kTruncated; kCorrupt where a rule of the format does not hold.
Result<NibbleTables> ReadNibbleTables(ReadCursor& cursor);

}  // namespace flyweight
