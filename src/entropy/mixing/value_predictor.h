#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace flyweight {

// Predicts a word's value from eight others, its taps, by a linear filter that learns by gradient descent, in integers
// (docs/format.md section 3.12.4): the six before it in the row, the nearest first, the one above it and the mean of
// its column. Source: Widrow, Hoff, "Adaptive switching circuits", 1960.

inline constexpr int kTaps = 8;
inline constexpr int kRowTaps = 6;
inline constexpr int32_t kTapLimit = 8191;
inline constexpr int32_t kLearningLimit = 2047;

inline int16_t ToTap(int32_t value) { return static_cast<int16_t>(std::clamp(value >> 5, -kTapLimit, kTapLimit)); }

inline int32_t LimitPrediction(int32_t value) { return std::clamp(value, -(1 << 19), 1 << 19); }

/// An error in the unit that weights learn in; 2^octave is about what an error is expected to be.
inline int16_t ToLearningError(int32_t error, int octave) {
  return static_cast<int16_t>(std::clamp((error * (1 << 9)) >> octave, -kLearningLimit, kLearningLimit));
}

/// The truth, for any machine.
class ScalarValuePredictor {
 public:
  void StartRow() { std::fill(taps_, taps_ + kRowTaps, int16_t{0}); }
  void SetColumn(int32_t above, int32_t mean) {
    taps_[kRowTaps] = ToTap(above);
    taps_[kRowTaps + 1] = ToTap(mean);
  }

  /// The prediction, in the unit of values.
  int32_t Predict() const {
    int32_t sum = 0;
    for (int k = 0; k < kTaps; ++k)
      sum += taps_[k] * std::clamp(static_cast<int32_t>(weights_[k]) >> 11, -32768, 32767);
    return LimitPrediction(sum >> 8);
  }

  /// Teaches the weights what the prediction was short of.
  void Learn(int32_t error, int octave) {
    int32_t scaled_error = ToLearningError(error, octave);
    for (int k = 0; k < kTaps; ++k) {
      int32_t tap = std::clamp((taps_[k] * (1 << 14)) >> octave, -kLearningLimit, kLearningLimit);
      weights_[k] += static_cast<uint32_t>((scaled_error * tap) >> 6);
    }
  }

  /// Makes `value` the nearest of those before the next word.
  void Push(int32_t value) {
    for (int k = kRowTaps - 1; k > 0; --k) taps_[k] = taps_[k - 1];
    taps_[0] = ToTap(value);
  }

 private:
  int16_t taps_[kTaps] = {};
  uint32_t weights_[kTaps] = {};  // two's complement, modulo 2^32
};

#if defined(__SSE2__)

/// The same with its state in vector registers.
class Sse2ValuePredictor {
 public:
  void StartRow() { taps_ = _mm_setzero_si128(); }
  void SetColumn(int32_t above, int32_t mean) {
    taps_ = _mm_insert_epi16(taps_, ToTap(above), kRowTaps);
    taps_ = _mm_insert_epi16(taps_, ToTap(mean), kRowTaps + 1);
  }

  int32_t Predict() const {
    __m128i weights = _mm_packs_epi32(_mm_srai_epi32(low_, 11), _mm_srai_epi32(high_, 11));
    __m128i sum = _mm_madd_epi16(taps_, weights);
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
    return LimitPrediction(_mm_cvtsi128_si32(sum) >> 8);
  }

  void Learn(int32_t error, int octave) {
    const __m128i shift = _mm_cvtsi32_si128(octave);
    // A tap in the high half of 32 bits is the tap shifted up by 16: two more than wanted.
    const __m128i zero = _mm_setzero_si128();
    __m128i low = _mm_sra_epi32(_mm_srai_epi32(_mm_unpacklo_epi16(zero, taps_), 2), shift);
    __m128i high = _mm_sra_epi32(_mm_srai_epi32(_mm_unpackhi_epi16(zero, taps_), 2), shift);
    const __m128i limit = _mm_set1_epi16(kLearningLimit);
    __m128i taps = _mm_min_epi16(_mm_packs_epi32(low, high), limit);
    taps = _mm_max_epi16(taps, _mm_sub_epi16(zero, limit));
    const __m128i errors = _mm_set1_epi16(ToLearningError(error, octave));
    __m128i product_low = _mm_mullo_epi16(errors, taps);
    __m128i product_high = _mm_mulhi_epi16(errors, taps);
    low_ = _mm_add_epi32(low_, _mm_srai_epi32(_mm_unpacklo_epi16(product_low, product_high), 6));
    high_ = _mm_add_epi32(high_, _mm_srai_epi32(_mm_unpackhi_epi16(product_low, product_high), 6));
  }

  void Push(int32_t value) { taps_ = _mm_insert_epi16(_mm_slli_si128(taps_, 2), ToTap(value), 0); }

 private:
  __m128i taps_ = _mm_setzero_si128();
  __m128i low_ = _mm_setzero_si128();
  __m128i high_ = _mm_setzero_si128();
};

using ValuePredictor = Sse2ValuePredictor;

#else

using ValuePredictor = ScalarValuePredictor;

#endif

}  // namespace flyweight
