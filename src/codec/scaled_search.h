#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "codec/record.h"
#include "codec/scaled_codec.h"
#include "transform/scaled_integers/scale_fit.h"

namespace flyweight {

/// How the elements of a chunk share scales: groups of `elements`, the first of which may be shorter.
struct ScaleGroups {
  size_t elements = 0;
  size_t first_elements = 0;

  size_t Count(size_t chunk_elements) const {
    return chunk_elements <= first_elements ? 1 : 1 + (chunk_elements - first_elements + elements - 1) / elements;
  }
  size_t Begin(size_t group) const { return group == 0 ? 0 : first_elements + (group - 1) * elements; }
};

/// A form and groups that fit a chunk's sample, and the bits of an element in units of 2^-16 that the sample took.
struct ScaledPlan {
  ScaledForm form;
  ScaleGroups groups;
  int64_t element_cost = 0;
};

/// Looks at a few windows, then at sample groups of every size that is common, from the whole chunk down to 16
/// elements, and at rows. Nothing where the elements are of another kind.
std::optional<ScaledPlan> PlanScaledChunk(ScaledWord word, const ScaledPlace& place, ByteSpan chunk,
                                          CodecScratch::Impl& scratch);

/// The scales of one group. Fills scratch.values with its words and places[i] with the place of each. Nothing where it
/// has other floats.
std::optional<ScaleRange> FitGroup(ScaledForm form, ByteSpan words, uint16_t* places, CodecScratch::Impl& scratch);

/// Integers of elements that are none.
inline constexpr int16_t kMinusZeroInteger = std::numeric_limits<int16_t>::min();
inline constexpr int16_t kMissedInteger = kMinusZeroInteger + 1;

/// The integer of a word, or one of the two above.
int16_t IntegerOfWord(ScaledForm form, uint32_t word, float scale);

}  // namespace flyweight
