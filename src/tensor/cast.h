#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// How the elements of one tensor follow from those of an F32 tensor. Numbers are written into archives and never
/// change meaning (docs/format.md section 1.4.2).
enum class CastMethod : uint8_t {
  kBF16 = 1,           ///< rounded to nearest, ties to even; NaN: the top half, made quiet
  kBF16Truncated = 2,  ///< the top half
  kF16 = 3,  ///< rounded to nearest, ties to even, subnormal where it is small, infinite where it is too large;
             ///< NaN: the top bits of its payload, made quiet
};

inline constexpr uint8_t kCastMethodLast = 3;

/// What a method gives.
inline DType CastTarget(CastMethod method) { return method == CastMethod::kF16 ? DType::kF16 : DType::kBF16; }

/// Casts F32 words to words of half their size. Precondition: source.size() == 2 * target.size(), a multiple of 4.
void CastFromF32(CastMethod method, ByteSpan source, MutableByteSpan target);

}  // namespace flyweight
