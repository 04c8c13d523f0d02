#include "entropy/head_rans/vec_neon.h"
#include "entropy/nibble_rans/nibble_kernels.h"

namespace flyweight::neon {
namespace {

/// Tables of up to 128 thresholds indexed by a lane's table and, above it, the decisions so far.
struct ThresholdSearch {
  Vec first;
  uint8x16x2_t second;
  uint8x16x4_t third, fourth_low, fourth_high;
  explicit ThresholdSearch(const NibbleCoder& coder) : first(Load(coder.search[0])) {
    for (int i = 0; i < 2; ++i) second.val[i] = Load(coder.search[1 + i]);
    for (int i = 0; i < 4; ++i) {
      third.val[i] = Load(coder.search[3 + i]);
      fourth_low.val[i] = Load(coder.search[7 + i]);
      fourth_high.val[i] = Load(coder.search[11 + i]);
    }
  }
  void Find(Vec slots, Vec tables, Vec& symbols, Vec& frequencies, Vec& offsets) const {
    Vec begin = Zero(), last = Set8(255), path = Zero(), index = tables;
    auto decide = [&](Vec threshold) {
      Vec above = vcltq_u8(slots, threshold);
      begin = vmaxq_u8(begin, AndNot(above, threshold));
      last = vminq_u8(last, vornq_u8(Sub8(threshold, Set8(1)), above));
      path = Sub8(Add8(path, path), above);
      index = Or(vshlq_n_u8(path, 4), tables);
    };
    decide(vqtbl1q_u8(first, index));
    decide(vqtbl2q_u8(second, index));
    decide(vqtbl4q_u8(third, index));
    // Indices out of a table's reach give 0.
    decide(Or(vqtbl4q_u8(fourth_low, index), vqtbl4q_u8(fourth_high, Sub8(index, Set8(64)))));
    symbols = path;
    frequencies = Sub8(Add8(last, Set8(1)), begin);
    offsets = Sub8(slots, begin);
  }
};

struct PairFields {
  const uint32_t* of_pair;
  uint32_t staged[kNibbleLanes];
  explicit PairFields(const NibbleCoder& coder) : of_pair(coder.of_pair) {}
  void Stage(const uint8_t* pairs, size_t row) {
    for (size_t i = 0; i < kNibbleLanes; ++i) staged[i] = of_pair[pairs[kNibbleLanes * row + i]];
  }
  void Get(size_t, size_t at, Vec& f, Vec& first, Vec& r_low, Vec& r_high) const {
    uint8x16x4_t fields = vld4q_u8(reinterpret_cast<const uint8_t*>(staged + at));
    f = fields.val[0];
    first = fields.val[1];
    r_low = fields.val[2];
    r_high = fields.val[3];
  }
};

}  // namespace

#include "entropy/nibble_rans/nibble_kernels-inl.h"
//
#include "entropy/nibble_rans/pair_nibbles-inl.h"

}  // namespace flyweight::neon
