#include "entropy/head_rans/vec_avx512.h"
#include "entropy/nibble_rans/nibble_kernels.h"

namespace flyweight::avx512 {
namespace {

/// Tables of 16, 32, 64 and 128 thresholds indexed by a lane's table and, above it, the decisions so far, the first
/// lowest.
struct ThresholdSearch {
  Vec level[5], symbol_of_path;
  explicit ThresholdSearch(const NibbleCoder& coder) {
    constexpr uint8_t kRows[20] = {0, 0, 0, 0, 1, 2, 1, 2, 3, 5, 4, 6, 7, 11, 9, 13, 8, 12, 10, 14};
    alignas(64) uint8_t bytes[20][16];
    for (int i = 0; i < 20; ++i) std::memcpy(bytes[i], coder.search[kRows[i]], 16);
    for (int i = 0; i < 5; ++i) level[i] = Load(bytes[4 * i]);
    symbol_of_path = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15));
  }
  void Find(Vec slots, Vec path, Vec& symbols, Vec& frequencies, Vec& offsets) const {
    Vec threshold = _mm512_permutexvar_epi8(path, level[0]);
    __mmask64 above = _mm512_cmplt_epu8_mask(slots, threshold);
    Vec end = _mm512_maskz_mov_epi8(above, threshold);
    Vec begin = _mm512_maskz_mov_epi8(~above, threshold);
    path = _mm512_mask_add_epi8(path, above, path, Set8(16));
    auto decide = [&](Vec next_threshold, int bit) {
      above = _mm512_cmplt_epu8_mask(slots, next_threshold);
      end = _mm512_mask_mov_epi8(end, above, next_threshold);
      begin = _mm512_mask_mov_epi8(next_threshold, above, begin);
      path = _mm512_mask_add_epi8(path, above, path, Set8(bit));
    };
    decide(_mm512_permutexvar_epi8(path, level[1]), 32);
    decide(_mm512_permutexvar_epi8(path, level[2]), 64);
    decide(_mm512_permutex2var_epi8(level[3], path, level[4]), 128);
    frequencies = Sub8(end, begin);
    offsets = Sub8(slots, begin);
    symbols = _mm512_shuffle_epi8(symbol_of_path, And(ShiftRight16<4>(path), Set8(15)));
  }
};

struct PairFields {
  Vec frequency[4], first_slot[4], reciprocal_low[4], reciprocal_high[4];
  const uint8_t* row_pairs = nullptr;
  explicit PairFields(const NibbleCoder& coder) {
    for (int i = 0; i < 4; ++i) {
      frequency[i] = Load(coder.frequency + 64 * i);
      first_slot[i] = Load(coder.first_slot + 64 * i);
      reciprocal_low[i] = Load(coder.reciprocal_low + 64 * i);
      reciprocal_high[i] = Load(coder.reciprocal_high + 64 * i);
    }
  }
  void Stage(const uint8_t* pairs, size_t row) { row_pairs = pairs + kNibbleLanes * row; }
  void Get(size_t, size_t at, Vec& f, Vec& first, Vec& r_low, Vec& r_high) const {
    Vec pairs = Load(row_pairs + at);
    f = Lookup256(frequency, pairs);
    first = Lookup256(first_slot, pairs);
    r_low = Lookup256(reciprocal_low, pairs);
    r_high = Lookup256(reciprocal_high, pairs);
  }
};

}  // namespace

#include "entropy/nibble_rans/nibble_kernels-inl.h"
//
#include "entropy/nibble_rans/pair_nibbles-inl.h"

}  // namespace flyweight::avx512
