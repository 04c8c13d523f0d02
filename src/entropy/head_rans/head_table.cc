#include "entropy/head_rans/head_table.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

// What a patch costs: 16 bits, and the symbol coded in its place.
constexpr int64_t kPatchBits = 18;
constexpr int64_t kOne = int64_t{1} << kLog2FractionBits;
constexpr int64_t kTableBytesPerExponent = 3;

// log2 of every frequency.
constexpr std::array<int64_t, kHeadSlots + 1> kFrequencyLog2 = [] {
  std::array<int64_t, kHeadSlots + 1> table{};
  for (uint64_t f = 1; f <= kHeadSlots; ++f) table[f] = Log2Fixed(f);
  return table;
}();

struct ExponentCount {
  uint32_t count0;
  uint32_t count1;
  uint8_t exponent;
  uint64_t total() const { return uint64_t{count0} + count1; }
};

// Exponents that occur, the most frequent first; ties by value, so that the order is the same everywhere.
std::vector<ExponentCount> SortedExponents(const HeadHistogram& histogram) {
  std::vector<ExponentCount> exponents;
  for (size_t e = 0; e < 256; ++e) {
    ExponentCount counted{histogram[2 * e], histogram[2 * e + 1], static_cast<uint8_t>(e)};
    if (counted.total() != 0) exponents.push_back(counted);
  }
  std::sort(exponents.begin(), exponents.end(), [](const ExponentCount& a, const ExponentCount& b) {
    return a.total() != b.total() ? a.total() > b.total() : a.exponent < b.exponent;
  });
  return exponents;
}

// Slots for `counts`, adding up to 256, each 1 to 255: proportional, then one at a time where it costs least.
void Normalise(const std::vector<uint32_t>& counts, uint64_t total, std::vector<int>& slots) {
  int sum = 0;
  slots.resize(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) {
    slots[i] = static_cast<int>(std::clamp<uint64_t>(counts[i] * uint64_t{kHeadSlots} / total, 1, kHeadSlots - 1));
    sum += slots[i];
  }
  while (sum != kHeadSlots) {
    int step = sum < kHeadSlots ? 1 : -1;
    size_t best = 0;
    int64_t best_cost = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < counts.size(); ++i) {
      int moved = slots[i] + step;
      if (moved < 1 || moved >= kHeadSlots) continue;
      int64_t cost =
          counts[i] * (kFrequencyLog2[static_cast<size_t>(slots[i])] - kFrequencyLog2[static_cast<size_t>(moved)]);
      if (cost < best_cost) best_cost = cost, best = i;
    }
    slots[best] += step;
    sum += step;
  }
}

// The most symbol borders that fall inside one group of 16 slots.
int Crowding(const HeadTable& table) {
  int borders[17] = {}, most = 0, slot = 0;
  for (int i = 0; i + 1 < table.count; ++i) {
    slot += table.frequency0[static_cast<size_t>(i)] + table.frequency1[static_cast<size_t>(i)];
    if (slot & 15) most = std::max(most, ++borders[slot >> 4]);
  }
  return most;
}

void SwapEntries(HeadTable& table, size_t a, size_t b) {
  std::swap(table.exponents[a], table.exponents[b]);
  std::swap(table.frequency0[a], table.frequency0[b]);
  std::swap(table.frequency1[a], table.frequency1[b]);
}

// Big and small frequencies alternate, then random swaps: the palette's order is free, and few borders in 16 slots make
// the AVX2 lookup short.
HeadTable SpreadBorders(const HeadTable& sorted) {
  HeadTable table = sorted;
  size_t low = 0, high = sorted.count - size_t{1};
  for (size_t i = 0; i < sorted.count; ++i) {
    size_t from = i & 1 ? high-- : low++;
    table.exponents[i] = sorted.exponents[from];
    table.frequency0[i] = sorted.frequency0[from];
    table.frequency1[i] = sorted.frequency1[from];
  }
  uint32_t random = 1;
  int crowding = Crowding(table);
  for (int attempt = 0; attempt < 300 && crowding > 2; ++attempt) {
    random = random * 1664525 + 1013904223;
    HeadTable swapped = table;
    SwapEntries(swapped, (random >> 16) % table.count, (random >> 24) % table.count);
    int swapped_crowding = Crowding(swapped);
    if (swapped_crowding <= crowding) crowding = swapped_crowding, table = swapped;
  }
  return table;
}

HeadTable Assemble(const std::vector<ExponentCount>& exponents, size_t palette_size, const std::vector<int>& slots) {
  HeadTable table;
  table.count = static_cast<uint8_t>(palette_size);
  for (size_t i = 0; i < palette_size; ++i) {
    table.exponents[i] = exponents[i].exponent;
    table.frequency0[i] = static_cast<uint8_t>(slots[2 * i]);
    table.frequency1[i] = static_cast<uint8_t>(slots[2 * i + 1]);
  }
  size_t second = std::min<size_t>(kMaxSecondPalette, exponents.size() - palette_size);
  table.second_count = static_cast<uint8_t>(second);
  for (size_t i = 0; i < second; ++i) table.second[i] = exponents[palette_size + i].exponent;
  return table;
}

}  // namespace

HeadTable BuildHeadTable(const HeadHistogram& histogram) {
  std::vector<ExponentCount> exponents = SortedExponents(histogram);
  size_t largest = std::min<size_t>(kMaxPalette, exponents.size());
  uint64_t outside = 0;
  for (size_t i = largest; i < exponents.size(); ++i) outside += exponents[i].total();

  HeadTable best;
  int64_t best_bits = std::numeric_limits<int64_t>::max();
  std::vector<uint32_t> counts;
  std::vector<int> slots;
  for (size_t n = largest; n >= 1; --n) {
    counts.clear();
    uint64_t inside = 0;
    for (size_t i = 0; i < n; ++i) {
      counts.push_back(exponents[i].count0);
      counts.push_back(exponents[i].count1);
      inside += exponents[i].total();
    }
    Normalise(counts, inside, slots);
    int64_t bits =
        static_cast<int64_t>(outside) * kPatchBits * kOne + static_cast<int64_t>(n) * kTableBytesPerExponent * 8 * kOne;
    for (size_t i = 0; i < counts.size(); ++i)
      bits += counts[i] * (8 * kOne - kFrequencyLog2[static_cast<size_t>(slots[i])]);
    if (bits < best_bits) {
      best_bits = bits;
      best = Assemble(exponents, n, slots);
    } else if (bits > best_bits + best_bits / 50) {
      break;
    }
    outside += exponents[n - 1].total();
  }
  return SpreadBorders(best);
}

double EstimateHeadBits(const HeadTable& table, const HeadHistogram& histogram) {
  int64_t bits = 0;
  uint64_t patched = 0;
  for (uint32_t count : histogram) patched += count;
  for (size_t i = 0; i < table.count; ++i) {
    size_t e = table.exponents[i];
    uint32_t count0 = histogram[2 * e], count1 = histogram[2 * e + 1];
    bits += count0 * (8 * kOne - kFrequencyLog2[table.frequency0[i]]) +
            count1 * (8 * kOne - kFrequencyLog2[table.frequency1[i]]);
    patched -= uint64_t{count0} + count1;
  }
  return static_cast<double>(bits) / static_cast<double>(kOne) +
         static_cast<double>(patched) * static_cast<double>(kPatchBits);
}

double HeadEntropyBits(const HeadHistogram& histogram) {
  uint64_t total = 0;
  int64_t weighted = 0;
  for (uint32_t count : histogram) {
    if (count == 0) continue;
    total += count;
    weighted += count * Log2Fixed(count);
  }
  if (total == 0) return 0;
  return static_cast<double>(static_cast<int64_t>(total) * Log2Fixed(total) - weighted) / static_cast<double>(kOne);
}

size_t HeadTableBytes(const HeadTable& table) {
  return 2 + size_t{kTableBytesPerExponent} * table.count + table.second_count;
}

void WriteHeadTable(const HeadTable& table, ByteWriter& writer) {
  writer.Write(table.count);
  writer.Write(table.second_count);
  writer.Append(std::as_bytes(std::span(table.exponents).first(table.count)));
  writer.Append(std::as_bytes(std::span(table.second).first(table.second_count)));
  writer.Append(std::as_bytes(std::span(table.frequency0).first(table.count)));
  writer.Append(std::as_bytes(std::span(table.frequency1).first(table.count)));
}

Result<HeadTable> ReadHeadTable(ReadCursor& cursor) {
  HeadTable table;
  uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(table.count, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(table.second_count, cursor.Read<uint8_t>());
  if (table.count < 1 || table.count > kMaxPalette || table.second_count > kMaxSecondPalette) {
    return Error{ErrorCode::kCorrupt, at,
                 "head table: palette sizes " + std::to_string(table.count) + " and " +
                     std::to_string(table.second_count) + " are out of range"};
  }
  auto read = [&cursor](auto& array, size_t count) -> Status {
    FLYWEIGHT_ASSIGN(ByteSpan bytes, cursor.Take(count));
    for (size_t i = 0; i < count; ++i) array[i] = static_cast<uint8_t>(bytes[i]);
    return {};
  };
  FLYWEIGHT_TRY(read(table.exponents, table.count));
  FLYWEIGHT_TRY(read(table.second, table.second_count));
  FLYWEIGHT_TRY(read(table.frequency0, table.count));
  FLYWEIGHT_TRY(read(table.frequency1, table.count));

  std::array<bool, 256> seen{};
  int slots = 0;
  for (size_t i = 0; i < table.count; ++i) {
    bool repeated = std::exchange(seen[table.exponents[i]], true);
    if (repeated) return Error{ErrorCode::kCorrupt, at, "head table: an exponent stands twice in the palette"};
    if (table.frequency0[i] == 0 || table.frequency1[i] == 0)
      return Error{ErrorCode::kCorrupt, at, "head table: a frequency is 0"};
    slots += table.frequency0[i] + table.frequency1[i];
  }
  if (slots != kHeadSlots) {
    return Error{ErrorCode::kCorrupt, at,
                 "head table: the frequencies add up to " + std::to_string(slots) + ", not 256"};
  }
  return table;
}

}  // namespace flyweight
