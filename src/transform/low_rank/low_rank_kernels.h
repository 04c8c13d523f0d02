#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

/// Components that the kernels of the encoder work on at once.
inline constexpr size_t kFactorLanes = 16;

/// Rows that ProjectRows and SpreadRows work on at once.
inline constexpr size_t kProjectedRows = 4;

// Use low_rank.h and factorise.h.
//
// SubtractProduct: values[j] -= scale * sum over p of (left[2p] * right[p * stride + 2j] + left[2p + 1] *
// right[p * stride + 2j + 1]), the sum modulo 2^32 and read as signed, converted to F32 and multiplied there;
// infinities and NaN stay.
//
// ProjectRows: out[i * kFactorLanes + k] = sum over j, ascending, of rows[i * columns + j] * basis[j * kFactorLanes +
// k], for kProjectedRows rows.
//
// SpreadRows: basis[j * kFactorLanes + k] += rows[i * columns + j] * weights[i * kFactorLanes + k], for kProjectedRows
// rows, in ascending order.
#define FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(isa)                                                                   \
  namespace isa {                                                                                                 \
  void SubtractProduct(const int16_t* left, const int16_t* right, size_t pair_count, size_t stride, size_t count, \
                       float scale, float* values);                                                               \
  void ProjectRows(const float* rows, size_t columns, const float* basis, float* out);                            \
  void SpreadRows(const float* rows, size_t columns, const float* weights, float* basis);                         \
  }
FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(scalar)
FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(avx2)
FLYWEIGHT_DECLARE_LOW_RANK_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_LOW_RANK_KERNELS

}  // namespace flyweight
