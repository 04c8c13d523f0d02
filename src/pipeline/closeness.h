#pragma once

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// How far apart elements are, as a share of their width: the mean bit width of the differences of their ordered
/// integers. 0 for equal ones, about 0.9 for unrelated weights. Precondition: equally many bytes.
double MeanDistance(DType dtype, ByteSpan left, ByteSpan right);

/// Tensors further apart than this are not taken for versions of each other.
inline constexpr double kClosenessLimit = 0.6;

}  // namespace flyweight
