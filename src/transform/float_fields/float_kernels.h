#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

// Plain loops that the compiler vectorises, compiled once for each ISA; use float_fields.h and recentre.h.
#define FLYWEIGHT_DECLARE_FLOAT_KERNELS(isa)                                                                  \
  namespace isa {                                                                                             \
  void SplitF32(const uint8_t* words, size_t count, uint8_t* heads, uint8_t* high, uint8_t* low);             \
  void MergeF32(const uint8_t* heads, const uint8_t* high, const uint8_t* low, size_t count, uint8_t* words); \
  void SplitF16(const uint8_t* words, size_t count, uint8_t* heads, uint8_t* low);                            \
  void MergeF16(const uint8_t* heads, const uint8_t* low, size_t count, uint8_t* words);                      \
  float SumHeads16(const uint8_t* heads, size_t count);                                                       \
  float SumHeads8(const uint8_t* heads, size_t count);                                                        \
  void AddHeads16(const uint8_t* heads, size_t count, float* sums);                                           \
  void AddHeads8(const uint8_t* heads, size_t count, float* sums);                                            \
  void AddShift(const uint8_t* columns, size_t count, uint8_t row_shift, uint8_t* target);                    \
  }
FLYWEIGHT_DECLARE_FLOAT_KERNELS(scalar)
FLYWEIGHT_DECLARE_FLOAT_KERNELS(avx2)
FLYWEIGHT_DECLARE_FLOAT_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_FLOAT_KERNELS

}  // namespace flyweight
