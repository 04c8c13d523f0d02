#pragma once

#include <optional>
#include <span>

#include "transform/scaled_integers/scaled_value.h"

namespace flyweight {

/// The largest integer that is looked for.
inline constexpr int32_t kMaxScaledInteger = 255;

/// A magnitude (a word without its sign, not 0) and how many elements have it.
struct CountedMagnitude {
  uint32_t word = 0;
  uint32_t count = 0;
};

/// All scales between two, as F32 bit patterns, both included.
struct ScaleRange {
  uint32_t low_bits = 0;
  uint32_t high_bits = 0;
  /// About how likely as many distinct floats of any other kind would fit as well.
  double chance = 1;
};

/// Finds the scales with which nearly all magnitudes are an integer of 1 to kMaxScaledInteger times the scale: where
/// there is a choice those that are the least likely to be a coincidence, which are the largest. Up to `allowed_misses`
/// elements may be of another kind. Precondition: `ascending` is in strictly ascending order of words.
///
/// The smallest magnitudes are taken for 1, 2, 3, ... times the scale; each further magnitude must lie in the interval
/// of reals that round to it divided by an integer, or the hypothesis is dropped, which for floats of any other kind
/// happens within a few of them. What is left is narrowed to the exact range with the decoder's own arithmetic.
std::optional<ScaleRange> FitScale(ScaledForm form, std::span<const CountedMagnitude> ascending,
                                   uint32_t allowed_misses);

/// The scale of a range with the fewest mantissa bits: quantisers often keep their scales in narrow types.
float SimplestScale(const ScaleRange& range);

/// The integer k >= 0 with ScaledMagnitude(form, k, scale) == magnitude, or nothing. `magnitude` may be any word
/// without sign.
std::optional<int32_t> IntegerOf(ScaledForm form, uint32_t magnitude, float scale);

}  // namespace flyweight
