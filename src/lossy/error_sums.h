#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// The errors of some elements. Sums of chunks that are added in order are the same on every machine and with any
/// number of threads.
struct ErrorSums {
  double max_abs = 0;          ///< of source - restored
  double squares = 0;          ///< of source - restored
  double energy = 0;           ///< squares of the finite elements of the source
  double largest = 0;          ///< magnitude of the finite elements of the source
  uint64_t special_count = 0;  ///< elements of the source that are not finite
  uint64_t broken_count = 0;   ///< elements of which a NaN or an infinity was lost or made
  uint64_t element_count = 0;

  void Add(const ErrorSums& later);
  /// The root of the mean squared error; 0 of no elements.
  double Rms() const;
  /// True where every element came back as a number that is one, and no error is infinite.
  bool IsSound() const;
};

/// Compares a chunk with what is restored of it. Preconditions: both are as many bytes, whole elements of F64, F32, F16
/// or BF16.
ErrorSums MeasureErrors(DType dtype, ByteSpan source, ByteSpan restored);

}  // namespace flyweight
