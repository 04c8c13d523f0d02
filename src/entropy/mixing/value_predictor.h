#pragma once

#include <algorithm>
#include <cstdint>

namespace flyweight {

/// Predicts a word's value from eight others by a linear filter that learns by gradient descent, in integers
/// (docs/format.md section 3.7.4). Source: Widrow, Hoff, "Adaptive switching circuits", 1960.
class ValuePredictor {
 public:
  static constexpr int kTaps = 8;
  static constexpr int32_t kTapLimit = 16383;

  /// The prediction, in the unit of values. Values are cut to taps first.
  int32_t Predict() const {
    int32_t sum = 0;
    for (int k = 0; k < kTaps; ++k) sum += taps_[k] * static_cast<int16_t>(weights_[k] >> 11);
    return sum >> 9;
  }

  /// Teaches the weights what the prediction was short of; 2^octave is about what an error is expected to be.
  void Learn(int32_t error, int octave) {
    int32_t scaled_error = Scale(error, 9, octave);
    for (int k = 0; k < kTaps; ++k) {
      int32_t step = (scaled_error * Scale(taps_[k], 13, octave)) >> kSlowness;
      weights_[k] = std::clamp(weights_[k] + step, -kWeightLimit, kWeightLimit);
    }
  }

  /// The taps in front of the word: those before it in the row move on by one.
  void Push(int32_t value) {
    for (int k = kRowTaps - 1; k > 0; --k) taps_[k] = taps_[k - 1];
    taps_[0] = Cut(value);
  }
  void StartRow() {
    for (int k = 0; k < kRowTaps; ++k) taps_[k] = 0;
  }
  void SetColumn(int32_t above, int32_t mean) {
    taps_[kRowTaps] = Cut(above);
    taps_[kRowTaps + 1] = Cut(mean);
  }

 private:
  static constexpr int kRowTaps = 6;
  static constexpr int kSlowness = 7;
  static constexpr int32_t kWeightLimit = (1 << 25) - 1;

  static int32_t Cut(int32_t value) { return std::clamp(value >> 4, -kTapLimit, kTapLimit); }
  static int32_t Scale(int32_t value, int up, int octave) {
    return std::clamp((value * (1 << up)) >> octave, -2047, 2047);
  }

  int32_t taps_[kTaps] = {};
  int32_t weights_[kTaps] = {};
};

}  // namespace flyweight
