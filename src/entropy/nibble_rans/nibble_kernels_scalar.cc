#include <algorithm>
#include <array>
#include <cstring>

#include "entropy/nibble_rans/nibble_kernels.h"
#include "entropy/nibble_rans/nibble_tables.h"

namespace flyweight {
namespace {

constexpr size_t kSearchOrder[kNibbleThresholds] = {8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15};

}  // namespace

NibbleCoder::NibbleCoder(const NibbleTables& tables) {
  std::memset(search[kNibbleThresholds], 0, sizeof search[kNibbleThresholds]);
  for (size_t t = 0; t < kNibbleTables; ++t) {
    const auto& of_table = tables.frequency[t < tables.table_count ? t : 0];
    std::array<uint8_t, kNibbleSymbols + 1> threshold{};
    size_t slot = 0;
    for (size_t s = kNibbleSymbols; s-- > 0;) {
      const unsigned f = of_table[s];
      const size_t pair = t << 4 | s;
      const unsigned reciprocal = f == 0 ? 0 : std::min(65536U / f, 65535U);
      frequency[pair] = static_cast<uint8_t>(f);
      first_slot[pair] = threshold[s + 1];
      reciprocal_low[pair] = static_cast<uint8_t>(reciprocal);
      reciprocal_high[pair] = static_cast<uint8_t>(reciprocal >> 8);
      of_pair[pair] = f | static_cast<uint32_t>(first_slot[pair]) << 8 | reciprocal << 16;
      for (size_t end = slot + f; slot < end; ++slot) symbol_of_slot[t][slot] = static_cast<uint8_t>(s);
      threshold[s] = static_cast<uint8_t>(slot);
    }
    for (size_t n = 0; n < kNibbleThresholds; ++n) search[n][t] = threshold[kSearchOrder[n]];
  }
}

void DecodeNibbleRow(DecodeNibblesArgs& args, size_t count) {
  const NibbleCoder& coder = *args.coder;
  for (size_t lane = 0; lane < count; ++lane) {
    const unsigned low = args.states->low[lane], high = args.states->high[lane], table = args.tables[lane];
    const unsigned symbol = coder.symbol_of_slot[table][low], pair = table << 4 | symbol;
    unsigned x = coder.frequency[pair] * high + low - coder.first_slot[pair];
    // Whether a byte comes in is a coin toss, so it is always read and perhaps not counted.
    const unsigned small = x < 256;
    x = x << (8 * small) | (*args.stream & (0 - small));
    args.stream += small;
    args.states->low[lane] = static_cast<uint8_t>(x);
    args.states->high[lane] = static_cast<uint8_t>(x >> 8);
    args.symbols[lane] = static_cast<uint8_t>(symbol);
  }
  if (args.stream > args.stream_end) args.stream = args.stream_end + 1;
  args.tables += count;
  args.symbols += count;
}

void EncodeNibbleRow(EncodeNibblesArgs& args, size_t count) {
  const NibbleCoder& coder = *args.coder;
  uint8_t* out = args.stream;
  for (size_t lane = count; lane-- > 0;) {
    const size_t pair = args.pairs[lane];
    const unsigned f = coder.frequency[pair];
    unsigned x = args.states->high[lane] * 256U + args.states->low[lane];
    out[-1] = static_cast<uint8_t>(x);
    const unsigned full = x >> 8 >= f;
    out -= full;
    x >>= 8 * full;
    // The product is the quotient or one too small.
    unsigned quotient = x * (coder.of_pair[pair] >> 16) >> 16;
    unsigned remainder = x - quotient * f;
    const unsigned one_more = remainder >= f;
    quotient += one_more;
    remainder -= f & (0 - one_more);
    args.states->low[lane] = static_cast<uint8_t>(remainder + coder.first_slot[pair]);
    args.states->high[lane] = static_cast<uint8_t>(quotient);
  }
  args.stream = out;
}

namespace scalar {

void DecodeNibbles(DecodeNibblesArgs& args) {
  for (size_t row = 0; row < args.row_count; ++row) DecodeNibbleRow(args, kNibbleLanes);
}

void EncodeNibbles(EncodeNibblesArgs& args) {
  const uint8_t* const first = args.pairs;
  for (size_t row = args.row_count; row-- > 0;) {
    args.pairs = first + row * kNibbleLanes;
    EncodeNibbleRow(args, kNibbleLanes);
  }
}

#include "entropy/nibble_rans/pair_nibbles-inl.h"

}  // namespace scalar

const IsaTable<DecodeNibblesFunction> kDecodeNibbles = FLYWEIGHT_ISA_TABLE_NEON(DecodeNibbles);
const IsaTable<EncodeNibblesFunction> kEncodeNibbles = FLYWEIGHT_ISA_TABLE_NEON(EncodeNibbles);
const IsaTable<PairNibblesFunction> kPairNibbles = FLYWEIGHT_ISA_TABLE_NEON(PairNibbles);

}  // namespace flyweight
