#include "entropy/nibble_rans/nibble_tables.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "entropy/context_rans/frequency_table.h"
#include "entropy/fixed_log2.h"

namespace flyweight {
namespace {

constexpr int kPrecisionBits = 8;
constexpr int kMantissaBits = 8;
// About what one more table takes in the file, in bits of kLog2FractionBits.
constexpr int64_t kTableCost = int64_t{72} << kLog2FractionBits;

using SymbolCounts = std::array<uint64_t, kNibbleSymbols>;

constexpr std::array<int32_t, (1 << kMantissaBits) + 1> MakeMantissaLogs() {
  std::array<int32_t, (1 << kMantissaBits) + 1> logs{};
  for (size_t i = 0; i < logs.size(); ++i)
    logs[i] = static_cast<int32_t>(Log2Fixed((size_t{1} << kMantissaBits) + i) -
                                   (int64_t{kMantissaBits} << kLog2FractionBits));
  return logs;
}
constexpr auto kMantissaLogs = MakeMantissaLogs();

// log2(x) in units of 2^-16, within 2^-15; between the entries of a table on straight lines. Precondition: x > 0.
int64_t Log2(uint64_t x) {
  int whole = 63 - std::countl_zero(x);
  uint64_t fraction = whole == 0 ? 0 : x << (64 - whole);
  auto index = static_cast<size_t>(fraction >> (64 - kMantissaBits));
  auto rest = static_cast<int64_t>(fraction >> (64 - kMantissaBits - 16) & 0xFFFF);
  int64_t at = kMantissaLogs[index];
  return (int64_t{whole} << kLog2FractionBits) + at + (((kMantissaLogs[index + 1] - at) * rest) >> 16);
}

uint64_t Sum(const SymbolCounts& counts) {
  uint64_t total = 0;
  for (uint64_t count : counts) total += count;
  return total;
}

int64_t EntropyCost(const SymbolCounts& counts) {
  const uint64_t total = Sum(counts);
  if (total == 0) return 0;
  int64_t cost = static_cast<int64_t>(total) * Log2(total);
  for (uint64_t count : counts) {
    if (count != 0) cost -= static_cast<int64_t>(count) * Log2(count);
  }
  return cost;
}

// Which of the sixteen may give a slot away or take one, at the least loss.
size_t CheapestStep(const SymbolCounts& counts, const std::array<uint8_t, kNibbleSymbols>& frequency, bool grow) {
  size_t best = kNibbleSymbols;
  int64_t best_cost = 0;
  for (size_t s = 0; s < kNibbleSymbols; ++s) {
    const unsigned f = frequency[s];
    if (f == 0 || (!grow && f == 1) || (grow && f == kNibbleSlots - 1)) continue;
    int64_t cost = static_cast<int64_t>(counts[s]) * (Log2(f) - Log2(grow ? f + 1 : f - 1));
    if (best != kNibbleSymbols && cost >= best_cost) continue;
    best = s;
    best_cost = cost;
  }
  return best;
}

std::array<uint8_t, kNibbleSymbols> Normalise(const SymbolCounts& counts) {
  std::array<uint8_t, kNibbleSymbols> frequency{};
  const uint64_t total = Sum(counts);
  const bool only_zero = total == counts[0];
  int left = kNibbleSlots;
  for (size_t s = 0; s < kNibbleSymbols; ++s) {
    if (counts[s] == 0 && s != 0 && !(only_zero && s == 1)) continue;
    uint64_t scaled = total == 0 ? 1 : counts[s] * kNibbleSlots / total;
    frequency[s] = static_cast<uint8_t>(std::clamp<uint64_t>(scaled, 1, kNibbleSlots - 1));
    left -= frequency[s];
  }
  for (; left != 0; left += left > 0 ? -1 : 1) {
    uint8_t& changed = frequency[CheapestStep(counts, frequency, left > 0)];
    changed = static_cast<uint8_t>(left > 0 ? changed + 1 : changed - 1);
  }
  return frequency;
}

// Contexts in which something occurs are cut into at most 16 runs. Source: dynamic programming over the last cut, as
// for optimal histograms (Jagadish et al., "Optimal histograms with quality guarantees", 1998).
class Partition {
 public:
  explicit Partition(const NibbleCounts& counts) {
    for (size_t k = 0; k < kNibbleContexts; ++k) {
      if (Sum(counts[k]) != 0) used_.push_back(k);
    }
    for (size_t end = 1; end <= used_.size(); ++end) {
      SymbolCounts together{};
      for (size_t begin = end; begin-- > 0;) {
        for (size_t s = 0; s < kNibbleSymbols; ++s) together[s] += counts[used_[begin]][s];
        cost_[begin][end] = EntropyCost(together) + kTableCost;
      }
    }
    Solve();
  }

  /// The first context of each run, in ascending order; 0 is the first.
  std::vector<size_t> Starts() const {
    std::vector<size_t> starts;
    size_t runs = best_runs_;
    for (size_t end = used_.size(); end > 0; --runs) {
      end = cut_[runs][end];
      starts.push_back(end == 0 ? 0 : used_[end]);
    }
    if (starts.empty()) starts.push_back(0);
    std::reverse(starts.begin(), starts.end());
    return starts;
  }

 private:
  void Solve() {
    const size_t n = used_.size();
    for (size_t end = 1; end <= n; ++end) total_[1][end] = cost_[0][end];
    best_runs_ = 1;
    for (size_t runs = 2; runs <= std::min(n, kNibbleTables); ++runs) {
      for (size_t end = runs; end <= n; ++end) {
        size_t best = runs - 1;
        for (size_t begin = runs; begin < end; ++begin) {
          if (Total(runs, begin, end) < Total(runs, best, end)) best = begin;
        }
        cut_[runs][end] = best;
        total_[runs][end] = Total(runs, best, end);
      }
      if (total_[runs][n] < total_[best_runs_][n]) best_runs_ = runs;
    }
  }
  int64_t Total(size_t runs, size_t begin, size_t end) const { return total_[runs - 1][begin] + cost_[begin][end]; }

  std::vector<size_t> used_;
  int64_t cost_[kNibbleContexts][kNibbleContexts + 1] = {};
  int64_t total_[kNibbleTables + 1][kNibbleContexts + 1] = {};
  size_t cut_[kNibbleTables + 1][kNibbleContexts + 1] = {};
  size_t best_runs_ = 1;
};

Error Corrupt(uint64_t offset, const char* what) { return {ErrorCode::kCorrupt, offset, what}; }

// Symbol 0 and no value over 15, or the search for a symbol would not find its way.
bool HasNibbleFrequencies(const FrequencyTable& table) {
  bool beyond = std::any_of(table.frequency.begin() + kNibbleSymbols, table.frequency.end(),
                            [](uint16_t frequency) { return frequency != 0; });
  return !beyond && table.frequency[0] >= 1 && table.frequency[0] < kNibbleSlots;
}

}  // namespace

void CountNibbles(const uint8_t* contexts, const uint8_t* symbols, size_t count, NibbleCounts& counts) {
  // Four tables, since the same pair often comes twice in a row; narrow ones, which are quick to clear and to add up.
  constexpr size_t kTables = 4, kMost = 32768;
  uint16_t tables[kTables][kNibbleContexts * kNibbleSymbols];
  for (size_t begin = 0; begin < count; begin += kMost) {
    const size_t end = std::min(count, begin + kMost);
    std::memset(tables, 0, sizeof tables);
    auto add = [&](size_t table, size_t i) { ++tables[table][contexts[i] * kNibbleSymbols + symbols[i]]; };
    size_t i = begin;
    for (; i + kTables <= end; i += kTables) {
      for (size_t t = 0; t < kTables; ++t) add(t, i + t);
    }
    for (; i < end; ++i) add(0, i);
    for (size_t k = 0; k < kNibbleContexts; ++k) {
      for (size_t s = 0; s < kNibbleSymbols; ++s) {
        const size_t pair = k * kNibbleSymbols + s;
        counts[k][s] += uint32_t{tables[0][pair]} + tables[1][pair] + tables[2][pair] + tables[3][pair];
      }
    }
  }
}

NibbleTables BuildNibbleTables(const NibbleCounts& counts) {
  std::vector<size_t> starts = Partition(counts).Starts();
  NibbleTables tables;
  tables.table_count = starts.size();
  for (size_t t = 0; t < starts.size(); ++t) {
    size_t end = t + 1 < starts.size() ? starts[t + 1] : kNibbleContexts;
    SymbolCounts together{};
    for (size_t k = starts[t]; k < end; ++k) {
      tables.table_of_context[k] = static_cast<uint8_t>(t);
      for (size_t s = 0; s < kNibbleSymbols; ++s) together[s] += counts[k][s];
    }
    tables.frequency[t] = Normalise(together);
  }
  return tables;
}

uint64_t EstimateNibbleBits(const NibbleTables& tables, const NibbleCounts& counts) {
  int64_t cost = 0;
  for (size_t k = 0; k < kNibbleContexts; ++k) {
    const auto& frequency = tables.frequency[tables.table_of_context[k]];
    for (size_t s = 0; s < kNibbleSymbols; ++s) {
      if (counts[k][s] == 0 || frequency[s] == 0) continue;
      int64_t bits = (int64_t{kPrecisionBits} << kLog2FractionBits) - Log2(frequency[s]);
      cost += static_cast<int64_t>(counts[k][s]) * bits;
    }
  }
  return static_cast<uint64_t>(cost) >> kLog2FractionBits;
}

void WriteNibbleTables(const NibbleTables& tables, ByteWriter& writer) {
  uint64_t starts = 0;
  for (size_t k = 1; k < kNibbleContexts; ++k) {
    if (tables.table_of_context[k] != tables.table_of_context[k - 1]) starts |= uint64_t{1} << k;
  }
  writer.Write(starts);
  std::array<FrequencyTable, kNibbleTables> wide{};
  for (size_t t = 0; t < tables.table_count; ++t)
    std::copy(tables.frequency[t].begin(), tables.frequency[t].end(), wide[t].frequency.begin());
  WriteFrequencyTables(std::span(wide).first(tables.table_count), kPrecisionBits, writer);
}

Result<NibbleTables> ReadNibbleTables(ReadCursor& cursor) {
  const uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint64_t starts, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(FrequencyTables wide, ReadFrequencyTables(cursor));
  NibbleTables tables;
  tables.table_count = wide.contexts.size();
  if ((starts & 1) != 0) return Corrupt(at, "tables of nibbles: there is no context before the first");
  if (tables.table_count > kNibbleTables || static_cast<size_t>(std::popcount(starts)) + 1 != tables.table_count)
    return Corrupt(at, "tables of nibbles: their number is not that of the runs of contexts");
  if (wide.precision_bits != kPrecisionBits) return Corrupt(at, "tables of nibbles: frequencies not out of 256");
  for (size_t t = 0; t < tables.table_count; ++t) {
    const FrequencyTable& table = wide.contexts[t];
    if (!HasNibbleFrequencies(table)) return Corrupt(at, "tables of nibbles: a frequency that no nibble may have");
    for (size_t s = 0; s < kNibbleSymbols; ++s) tables.frequency[t][s] = static_cast<uint8_t>(table.frequency[s]);
  }
  for (size_t k = 1; k < kNibbleContexts; ++k)
    tables.table_of_context[k] = static_cast<uint8_t>(tables.table_of_context[k - 1] + (starts >> k & 1));
  return tables;
}

}  // namespace flyweight
