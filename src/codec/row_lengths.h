#pragma once

#include <cstdint>
#include <vector>

#include "flyweight/tensor.h"

namespace flyweight {

/// Row lengths in words, the widest first, that a tensor of `word_count` words can be read as a matrix by: all behind
/// its first dimension, behind its first two and so on up to `max_dimensions`. Empty where none is worth re-centring.
std::vector<uint64_t> RowLengths(const Shape& shape, uint64_t words_per_element, uint64_t word_count,
                                 size_t max_dimensions);

}  // namespace flyweight
