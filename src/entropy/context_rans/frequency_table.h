#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "entropy/histogram.h"
#include "flyweight/result.h"

namespace flyweight {

inline constexpr int kMinPrecisionBits = 8;
inline constexpr int kMaxPrecisionBits = 14;
/// No frequency exceeds this, so that a slot of a decoding table fits 32 bits.
inline constexpr int kMaxFrequency = 1 << 12;
inline constexpr size_t kMaxContexts = 64;

/// Frequencies of the 256 byte values in one context; they add up to 2^precision. 0: the value cannot be coded.
struct FrequencyTable {
  std::array<uint16_t, 256> frequency{};
};

/// Frequencies near the counts, at least 1 for every value that occurs. An empty histogram gives value 0 everything.
/// Integers only, so that every machine builds the same table. Precondition: FitsPrecision.
FrequencyTable NormaliseFrequencies(const ByteHistogram& counts, int precision_bits);

/// Whether no frequency would exceed kMaxFrequency. Always up to 12 bits.
bool FitsPrecision(const ByteHistogram& counts, int precision_bits);

/// Bits that coding a sample with these counts takes; `unknown_bits` for each value the table lacks.
double EstimateBits(const FrequencyTable& table, const ByteHistogram& counts, int precision_bits,
                    double unknown_bits = 32);

/// Writes tables that share a precision (docs/format.md section 3.7.1). Preconditions: 1 to kMaxContexts tables whose
/// frequencies add up.
void WriteFrequencyTables(std::span<const FrequencyTable> tables, int precision_bits, ByteWriter& writer);

struct FrequencyTables {
  int precision_bits = kMaxPrecisionBits;
  std::vector<FrequencyTable> contexts;
};

/// Errors: kTruncated, kCorrupt.
Result<FrequencyTables> ReadFrequencyTables(ReadCursor& cursor);

}  // namespace flyweight
