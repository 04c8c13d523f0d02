#include "entropy/context_rans/frequency_table.h"

#include <algorithm>
#include <bit>
#include <string>

#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

constexpr unsigned kEscapeZeros = 20;
constexpr unsigned kEscapeBits = 14;

// Golomb-Rice codes whose parameter follows the mean of what was coded. Source: Weinberger, Seroussi, Sapiro, "The
// LOCO-I lossless image compression algorithm" (2000), section III.
class RiceParameter {
 public:
  unsigned bits() const {
    unsigned k = 0;
    while (k < 12 && count_ << k < sum_) ++k;
    return k;
  }
  void Add(uint32_t value) {
    sum_ += value;
    if (++count_ == 16) sum_ >>= 1, count_ >>= 1;
  }

 private:
  uint32_t sum_ = 8;
  uint32_t count_ = 1;
};

class BitWriter {
 public:
  explicit BitWriter(ByteWriter& writer) : writer_(writer) {}
  void Put(uint32_t value, unsigned bits) {
    held_ |= uint64_t{value} << held_bits_;
    for (held_bits_ += bits; held_bits_ >= 8; held_bits_ -= 8, held_ >>= 8) writer_.Write(static_cast<uint8_t>(held_));
  }
  void Finish() {
    if (held_bits_ != 0) writer_.Write(static_cast<uint8_t>(held_));
  }

 private:
  ByteWriter& writer_;
  uint64_t held_ = 0;
  unsigned held_bits_ = 0;
};

class BitReader {
 public:
  explicit BitReader(ReadCursor& cursor) : cursor_(cursor) {}
  Result<uint32_t> Get(unsigned bits) {
    while (held_bits_ < bits) {
      FLYWEIGHT_ASSIGN(uint8_t byte, cursor_.Read<uint8_t>());
      held_ |= uint64_t{byte} << held_bits_;
      held_bits_ += 8;
    }
    auto value = static_cast<uint32_t>(held_ & ((uint64_t{1} << bits) - 1));
    held_ >>= bits;
    held_bits_ -= bits;
    return value;
  }
  bool LeftoverIsZero() const { return held_ == 0; }

 private:
  ReadCursor& cursor_;
  uint64_t held_ = 0;
  unsigned held_bits_ = 0;
};

uint32_t ZigZag(int value) { return static_cast<uint32_t>(value >= 0 ? 2 * value : -2 * value - 1); }
int UnZigZag(uint32_t z) { return z & 1 ? -static_cast<int>(z >> 1) - 1 : static_cast<int>(z >> 1); }

unsigned RiceBits(uint32_t value, unsigned k) {
  uint32_t zeros = value >> k;
  return zeros < kEscapeZeros ? zeros + 1 + k : kEscapeZeros + 1 + kEscapeBits;
}

void PutRice(uint32_t value, unsigned k, BitWriter& bits) {
  uint32_t zeros = value >> k;
  if (zeros < kEscapeZeros) {
    bits.Put(uint32_t{1} << zeros, zeros + 1);
    bits.Put(value & ((1U << k) - 1), k);
    return;
  }
  bits.Put(uint32_t{1} << kEscapeZeros, kEscapeZeros + 1);
  bits.Put(value, kEscapeBits);
}

Result<uint32_t> GetRice(unsigned k, BitReader& bits) {
  uint32_t zeros = 0;
  for (;; ++zeros) {
    FLYWEIGHT_ASSIGN(uint32_t bit, bits.Get(1));
    if (bit != 0) break;
    if (zeros == kEscapeZeros) return Error{ErrorCode::kCorrupt, 0, "frequencies: a code without an end"};
  }
  if (zeros == kEscapeZeros) return bits.Get(kEscapeBits);
  FLYWEIGHT_ASSIGN(uint32_t low, bits.Get(k));
  return zeros << k | low;
}

struct SymbolRange {
  unsigned first = 0, last = 0;
};

SymbolRange RangeOf(const FrequencyTable& table) {
  auto present = [](uint16_t f) { return f != 0; };
  auto first = std::find_if(table.frequency.begin(), table.frequency.end(), present);
  auto last = std::find_if(table.frequency.rbegin(), table.frequency.rend(), present);
  return {static_cast<unsigned>(first - table.frequency.begin()),
          static_cast<unsigned>(255 - (last - table.frequency.rbegin()))};
}

// What a frequency is coded relative to: that of the value before it, or of the same value in the table before.
int Predict(const FrequencyTable& table, const FrequencyTable* before, unsigned first, unsigned value) {
  if (before != nullptr) return before->frequency[value];
  return value == first ? 0 : table.frequency[value - 1];
}

// Calls visit(difference, rice parameter) for each coded frequency: all but the last, which the sum gives.
template <typename Visit>
void VisitDifferences(const FrequencyTable& table, const FrequencyTable* before, SymbolRange range,
                      const Visit& visit) {
  RiceParameter parameter;
  for (unsigned value = range.first; value < range.last; ++value) {
    uint32_t z = ZigZag(table.frequency[value] - Predict(table, before, range.first, value));
    visit(z, parameter.bits());
    parameter.Add(z);
  }
}

uint64_t TableBits(const FrequencyTable& table, const FrequencyTable* before, SymbolRange range) {
  uint64_t bits = 0;
  VisitDifferences(table, before, range, [&](uint32_t z, unsigned k) { bits += RiceBits(z, k); });
  return bits;
}

Result<FrequencyTable> ReadTable(BitReader& bits, const FrequencyTable* previous, int precision_bits) {
  FLYWEIGHT_ASSIGN(uint32_t first, bits.Get(8));
  FLYWEIGHT_ASSIGN(uint32_t last, bits.Get(8));
  if (first > last) return Error{ErrorCode::kCorrupt, 0, "frequencies: the first value is behind the last"};
  const FrequencyTable* before = nullptr;
  if (previous != nullptr) {
    FLYWEIGHT_ASSIGN(uint32_t relative, bits.Get(1));
    if (relative != 0) before = previous;
  }
  FrequencyTable table;
  RiceParameter parameter;
  int left = 1 << precision_bits;
  for (unsigned value = first; value < last; ++value) {
    FLYWEIGHT_ASSIGN(uint32_t z, GetRice(parameter.bits(), bits));
    parameter.Add(z);
    int frequency = Predict(table, before, first, value) + UnZigZag(z);
    if (frequency < 0 || frequency > std::min(left, kMaxFrequency))
      return Error{ErrorCode::kCorrupt, 0, "frequencies: out of range"};
    table.frequency[value] = static_cast<uint16_t>(frequency);
    left -= frequency;
  }
  if (left > kMaxFrequency) return Error{ErrorCode::kCorrupt, 0, "frequencies: one is over 4096"};
  table.frequency[last] = static_cast<uint16_t>(left);
  return table;
}

}  // namespace

FrequencyTable NormaliseFrequencies(const ByteHistogram& counts, int precision_bits) {
  FrequencyTable table;
  uint64_t total = 0;
  for (uint32_t count : counts) total += count;
  const int sum = 1 << precision_bits;
  if (total == 0) {
    table.frequency[0] = static_cast<uint16_t>(sum);
    return table;
  }
  int left = sum;
  for (size_t v = 0; v < 256; ++v) {
    if (counts[v] == 0) continue;
    uint64_t scaled = (uint64_t{counts[v]} * static_cast<uint64_t>(sum) + total / 2) / total;
    table.frequency[v] = static_cast<uint16_t>(std::max<uint64_t>(1, scaled));
    left -= table.frequency[v];
  }
  // What rounding left over goes where it changes the cost least: to and from the largest, a share at a time.
  while (left != 0) {
    auto largest = std::max_element(table.frequency.begin(), table.frequency.end());
    int step = std::max(1, *largest / 16);
    step = left > 0 ? std::min(step, left) : -std::min({step, -left, *largest - 1});
    *largest = static_cast<uint16_t>(*largest + step);
    left -= step;
  }
  return table;
}

bool FitsPrecision(const ByteHistogram& counts, int precision_bits) {
  uint64_t total = 0;
  for (uint32_t count : counts) total += count;
  uint64_t largest = *std::max_element(counts.begin(), counts.end());
  // What rounding leaves over, at most one a value, goes to the largest.
  return (1 << precision_bits) <= kMaxFrequency ||
         largest << precision_bits <= total * static_cast<uint64_t>(kMaxFrequency - 256);
}

double EstimateBits(const FrequencyTable& table, const ByteHistogram& counts, int precision_bits, double unknown_bits) {
  int64_t bits = 0;
  uint64_t unknown = 0;
  for (size_t v = 0; v < 256; ++v) {
    if (counts[v] == 0) continue;
    if (table.frequency[v] == 0) {
      unknown += counts[v];
      continue;
    }
    int64_t cost = (int64_t{precision_bits} << kLog2FractionBits) - Log2Fixed(table.frequency[v]);
    bits += cost * counts[v];
  }
  return static_cast<double>(bits) / (1 << kLog2FractionBits) + static_cast<double>(unknown) * unknown_bits;
}

void WriteFrequencyTables(std::span<const FrequencyTable> tables, int precision_bits, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(tables.size()));
  writer.Write(static_cast<uint8_t>(precision_bits));
  BitWriter bits(writer);
  for (size_t i = 0; i < tables.size(); ++i) {
    SymbolRange range = RangeOf(tables[i]);
    bits.Put(range.first, 8);
    bits.Put(range.last, 8);
    const FrequencyTable* before = nullptr;
    if (i != 0) {
      bool relative = TableBits(tables[i], &tables[i - 1], range) < TableBits(tables[i], nullptr, range);
      bits.Put(relative ? 1 : 0, 1);
      if (relative) before = &tables[i - 1];
    }
    VisitDifferences(tables[i], before, range, [&](uint32_t z, unsigned k) { PutRice(z, k, bits); });
  }
  bits.Finish();
}

Result<FrequencyTables> ReadFrequencyTables(ReadCursor& cursor) {
  uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint8_t count, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t precision_bits, cursor.Read<uint8_t>());
  if (count == 0 || count > kMaxContexts)
    return Error{ErrorCode::kCorrupt, at, "frequencies: " + std::to_string(count) + " contexts"};
  if (precision_bits < kMinPrecisionBits || precision_bits > kMaxPrecisionBits)
    return Error{ErrorCode::kCorrupt, at + 1, "frequencies of " + std::to_string(precision_bits) + " bits"};
  FrequencyTables tables;
  tables.precision_bits = precision_bits;
  tables.contexts.reserve(count);
  BitReader bits(cursor);
  for (size_t i = 0; i < count; ++i) {
    FLYWEIGHT_ASSIGN(FrequencyTable table, ReadTable(bits, i == 0 ? nullptr : &tables.contexts.back(), precision_bits));
    tables.contexts.push_back(table);
  }
  if (!bits.LeftoverIsZero()) return Error{ErrorCode::kCorrupt, at, "frequencies: bits are left over"};
  return tables;
}

}  // namespace flyweight
