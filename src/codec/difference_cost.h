#pragma once

#include <cstddef>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// log2(x) for x > 0, the same on every machine.
double ExactLog2(double x);

/// The bits that an element's difference from its prediction takes, about: the entropy of its class given the exponent
/// of the prediction, its sign and its low bits. For elements of F32, F16 and BF16, read as ordered integers; both
/// spans are equally long.
double MeanDifferenceBits(DType dtype, ByteSpan predicted, ByteSpan elements);

}  // namespace flyweight
