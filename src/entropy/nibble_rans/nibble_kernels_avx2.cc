#include "entropy/head_rans/vec_avx2.h"
#include "entropy/nibble_rans/nibble_kernels.h"

namespace flyweight::avx2 {
namespace {

/// All 15 thresholds of the lanes' tables are looked up; those on the way are blended out level by level.
struct ThresholdSearch {
  Vec rows[kNibbleThresholds];
  explicit ThresholdSearch(const NibbleCoder& coder) {
    for (size_t n = 0; n < kNibbleThresholds; ++n) rows[n] = Repeat16(coder.search[n]);
  }
  void Find(Vec slots, Vec tables, Vec& symbols, Vec& frequencies, Vec& offsets) const {
    const Vec ones = Set8(-1);
    Vec begin = Zero(), last = ones, below[4];
    symbols = Zero();
    auto at = [&](int n) { return _mm256_shuffle_epi8(rows[n], tables); };
    auto either = [&](Vec when_above, Vec when_below, int level) {
      return _mm256_blendv_epi8(when_above, when_below, below[level]);
    };
    auto decide = [&](Vec threshold, int level) {
      Vec is_below = _mm256_cmpeq_epi8(_mm256_max_epu8(slots, threshold), slots);
      begin = _mm256_max_epu8(begin, And(is_below, threshold));
      last = _mm256_min_epu8(last, Or(is_below, Add8(threshold, ones)));
      symbols = Add8(symbols, AndNot(is_below, Set8(8 >> level)));
      below[level] = is_below;
    };
    decide(at(0), 0);
    decide(either(at(2), at(1), 0), 1);
    decide(either(either(at(6), at(5), 1), either(at(4), at(3), 1), 0), 2);
    Vec upper = either(either(at(14), at(13), 2), either(at(12), at(11), 2), 1);
    Vec lower = either(either(at(10), at(9), 2), either(at(8), at(7), 2), 1);
    decide(either(upper, lower, 0), 3);
    frequencies = Sub8(Sub8(last, ones), begin);
    offsets = Sub8(slots, begin);
  }
};

/// What belongs to the pairs of some rows, fetched one by one ahead of the arithmetic, so that no load waits for the
/// stores it needs.
struct PairFields {
  static constexpr size_t kRows = 8;
  const uint32_t* of_pair;
  alignas(32) uint32_t staged[kRows][kNibbleLanes];
  explicit PairFields(const NibbleCoder& coder) : of_pair(coder.of_pair) {}
  void Stage(const uint8_t* pairs, size_t row) {
    if (row >= staged_from_) return;
    staged_from_ = row / kRows * kRows;
    for (size_t r = staged_from_; r <= row; ++r) {
      const uint8_t* from = pairs + kNibbleLanes * r;
      uint32_t* to = staged[r % kRows];
      // Lanes 16 h + 4 m + j of 32 are put at 8 m + 4 h + j, which the unpacking in Get turns back.
      for (size_t i = 0; i < kNibbleLanes; i += 32) {
        for (size_t h = 0; h < 2; ++h) {
          for (size_t m = 0; m < 4; ++m) {
            for (size_t j = 0; j < 4; ++j) to[i + 8 * m + 4 * h + j] = of_pair[from[i + 16 * h + 4 * m + j]];
          }
        }
      }
    }
  }
  void Get(size_t row, size_t at, Vec& f, Vec& first, Vec& r_low, Vec& r_high) const {
    const uint32_t* from = staged[row % kRows] + at;
    const Vec by_field =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    Vec part[4];
    for (int m = 0; m < 4; ++m) part[m] = _mm256_shuffle_epi8(Load(from + 8 * m), by_field);
    Vec low01 = _mm256_unpacklo_epi32(part[0], part[1]), low23 = _mm256_unpacklo_epi32(part[2], part[3]);
    Vec high01 = _mm256_unpackhi_epi32(part[0], part[1]), high23 = _mm256_unpackhi_epi32(part[2], part[3]);
    f = _mm256_unpacklo_epi64(low01, low23);
    first = _mm256_unpackhi_epi64(low01, low23);
    r_low = _mm256_unpacklo_epi64(high01, high23);
    r_high = _mm256_unpackhi_epi64(high01, high23);
  }

 private:
  size_t staged_from_ = SIZE_MAX;  // rows come from the last to the first
};

}  // namespace

#include "entropy/nibble_rans/nibble_kernels-inl.h"
//
#include "entropy/nibble_rans/pair_nibbles-inl.h"

}  // namespace flyweight::avx2
