#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

/// Components that the kernels of the encoder work on at once.
inline constexpr size_t kFactorLanes = 32;

// Use low_rank.h and factorise.h.
//
// SubtractProduct: values[j] -= scale * sum over p of (left[2p] * right[p * stride + 2j] + left[2p + 1] *
// right[p * stride + 2j + 1]), the sum modulo 2^32 and read as signed, converted to F32 and multiplied there;
// infinities and NaN stay.
//
// ProjectRow: out[k] = sum over j, ascending, of row[j] * basis[j * kFactorLanes + k].
//
// SpreadRow: basis[j * kFactorLanes + k] += row[j] * weights[k].
#define FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(isa)                                                                   \
  namespace isa {                                                                                                 \
  void SubtractProduct(const int16_t* left, const int16_t* right, size_t pair_count, size_t stride, size_t count, \
                       float scale, float* values);                                                               \
  void ProjectRow(const float* row, size_t columns, const float* basis, float* out);                              \
  void SpreadRow(const float* row, size_t columns, const float* weights, float* basis);                           \
  }
FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(scalar)
FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(avx2)
FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_LOW_RANK_KERNELS

}  // namespace flyweight
