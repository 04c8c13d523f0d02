#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// What is found where two runs of elements are compared. Sums leave out pairs with an infinity or a NaN in them.
struct ElementDifference {
  uint64_t element_count = 0;
  uint64_t changed_count = 0;     ///< whose bytes differ; of different dtypes, whose values do
  uint64_t largest_ulps = 0;      ///< steps between floats of one dtype, NaN aside
  double largest_difference = 0;  ///< |b - a|
  double squared_difference = 0;  ///< sum of (b - a)^2
  double squared_base = 0;        ///< sum of a^2
  uint64_t not_finite_count = 0;  ///< pairs that were left out of the sums

  void Add(const ElementDifference& other);
};

/// True of F16, BF16, F32 and F64, which are compared as numbers; all else is compared as bytes.
bool HasComparedValues(DType dtype);

/// True where CompareElements knows what to do with the two: equal dtypes, or floats.
bool AreComparable(DType a, DType b);

/// Bytes of the smallest run of elements that is compared: of one element, or of a block.
uint64_t ComparedUnitBytes(DType dtype);

/// Compares elements pair by pair; sums are in a fixed order. Of types whose elements are no whole bytes each run of
/// whole bytes counts as changed or not. Preconditions: AreComparable(a_dtype, b_dtype); both hold whole units, equally
/// many.
ElementDifference CompareElements(DType a_dtype, ByteSpan a, DType b_dtype, ByteSpan b);

}  // namespace flyweight
