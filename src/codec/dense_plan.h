#pragma once

#include <optional>

#include "codec/dense_side.h"
#include "codec/patch_strips.h"

namespace flyweight {

struct DensePlan {
  DenseSide side;
  uint64_t sparse_bits = 0;     ///< of the changes alone, their places included
  uint64_t estimated_bits = 0;  ///< of all words, without what chunks cost besides
};

/// Measures a tensor against what `strips` predicts of it, in some passes. Nothing where no word differs. `shape` is
/// that of the elements, of `words_per_element` words. The result depends on the content alone. Errors: those of
/// reading.
Result<std::optional<DensePlan>> PlanDense(PatchStrips& strips, FloatLayout layout, uint64_t word_count,
                                           const Shape& shape, uint64_t words_per_element);

}  // namespace flyweight
