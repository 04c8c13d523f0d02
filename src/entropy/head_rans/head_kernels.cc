#include "entropy/head_rans/head_kernels.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "entropy/head_rans/head_table.h"

namespace flyweight {
namespace {

// Fills the two-level lookup. A group of 16 slots starts inside one rank; every border inside it is a threshold to step
// over.
void FillGroups(HeadCoder& coder, size_t rank_count) {
  std::memset(coder.thresholds, 0x7F, sizeof coder.thresholds);
  coder.threshold_count = 0;
  size_t rank = 0;
  for (size_t group = 0; group < 16; ++group) {
    while (rank + 1 < rank_count && coder.rank_first_slot[rank + 1] <= 16 * group) ++rank;
    coder.group_rank[group] = static_cast<uint8_t>(rank);
  }
  uint8_t used[16] = {};
  for (size_t r = 1; r < rank_count; ++r) {
    uint8_t border = coder.rank_first_slot[r];
    if ((border & 15) == 0) continue;
    size_t group = border >> 4;
    coder.thresholds[used[group]++][group] = static_cast<uint8_t>((border - 1) ^ 0x80);
    coder.threshold_count = std::max(coder.threshold_count, used[group]);
  }
}

template <typename Head>
uint16_t SymbolOf(Head head, uint8_t shift) {
  if constexpr (sizeof(Head) == 2) {
    return static_cast<uint16_t>((((head >> 7) - shift) & 0xFF) << 1 | (head >> 6 & 1));
  } else {
    return static_cast<uint16_t>((((head >> 2 & 0x1F) - shift) & 0xFF) << 1 | (head >> 1 & 1));
  }
}

template <typename Head>
void Count(const CountHeadsArgs& args) {
  const auto* heads = static_cast<const std::byte*>(args.heads);
  static constexpr uint8_t kNoShifts[kHeadIteration] = {};
  for (size_t i = 0; i < args.iterations; ++i) {
    const uint8_t* shifts = args.shifts != nullptr ? args.shifts + i * kHeadIteration : kNoShifts;
    uint16_t symbols[kHeadIteration];
    for (size_t e = 0; e < kHeadIteration; ++e) {
      symbols[e] = SymbolOf(LoadLe<Head>(heads + (i * kHeadIteration + e) * sizeof(Head)), shifts[e]);
    }
    // Neighbours count in different tables, so that equal ones do not wait for each other's increment.
    static_assert(kCountTables == 4);
    for (size_t e = 0; e < kHeadIteration; e += kCountTables) {
      ++args.counts[symbols[e]];
      ++args.counts[512 + symbols[e + 1]];
      ++args.counts[1024 + symbols[e + 2]];
      ++args.counts[1536 + symbols[e + 3]];
    }
  }
}

}  // namespace

HeadCoder::HeadCoder(const HeadTable& table) {
  std::memset(static_cast<void*>(this), 0, sizeof *this);
  std::memset(rank_of_exponent, 0xFF, sizeof rank_of_exponent);
  size_t slot = 0;
  int largest = 0;
  for (size_t rank = 0; rank < table.count; ++rank) {
    rank_of_exponent[table.exponents[rank]] = static_cast<uint8_t>(rank);
    rank_exponent[rank] = table.exponents[rank];
    rank_first_slot[rank] = static_cast<uint8_t>(slot);
    rank_frequency0[rank] = table.frequency0[rank];
    rank_frequency1[rank] = table.frequency1[rank];
    int both = table.frequency0[rank] + table.frequency1[rank];
    if (both > largest) largest = both, default_rank = static_cast<uint8_t>(rank);
    for (size_t bit = 0; bit < 2; ++bit) {
      size_t symbol = 2 * rank + bit;
      unsigned f = bit ? table.frequency1[rank] : table.frequency0[rank];
      frequency[symbol] = static_cast<uint8_t>(f);
      first_slot[symbol] = static_cast<uint8_t>(slot);
      exponent[symbol] = table.exponents[rank];
      unsigned reciprocal = std::min(65535u, 65536u / f);
      reciprocal_low[symbol] = static_cast<uint8_t>(reciprocal);
      reciprocal_high[symbol] = static_cast<uint8_t>(reciprocal >> 8);
      for (unsigned i = 0; i < f; ++i, ++slot) {
        slot_symbol[slot] = static_cast<uint8_t>(symbol);
        slot_frequency[slot] = static_cast<uint8_t>(f);
        slot_offset[slot] = static_cast<uint8_t>(i);
      }
    }
  }
  FillGroups(*this, table.count);
}

void CountHeads(HeadKind kind, const CountHeadsArgs& args) {
  kind == HeadKind::k16 ? Count<uint16_t>(args) : Count<uint8_t>(args);
}

const IsaTable<DecodeHeadsFunction> kDecodeHeads[2] = {FLYWEIGHT_ISA_TABLE_NEON(DecodeHeads16),
                                                       FLYWEIGHT_ISA_TABLE_NEON(DecodeHeads8)};
const IsaTable<SplitHeadsFunction> kSplitHeads[2] = {FLYWEIGHT_ISA_TABLE_NEON(SplitHeads16),
                                                     FLYWEIGHT_ISA_TABLE_NEON(SplitHeads8)};
const IsaTable<EncodeSymbolsFunction> kEncodeSymbols = FLYWEIGHT_ISA_TABLE_NEON(EncodeSymbols);

}  // namespace flyweight
