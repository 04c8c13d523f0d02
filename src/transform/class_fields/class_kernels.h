#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

// Plain loops that the compiler vectorises, compiled once for each ISA; use class_fields.h and packed_bits.h.
#define FLYWEIGHT_DECLARE_CLASS_KERNELS(isa)                                                                           \
  namespace isa {                                                                                                      \
  void ExpandShifted(const int8_t* columns, size_t count, int row, unsigned context_bits, uint8_t* contexts,           \
                     uint8_t* shifts);                                                                                 \
  void ExpandContexts(const int8_t* columns, size_t count, int row, unsigned context_bits, uint8_t* contexts);         \
  void Split16(const uint8_t* heads, size_t count, const uint8_t* shifts, unsigned base, uint8_t* symbols,             \
               uint8_t* signs, uint8_t* nibbles, uint8_t* bits, uint8_t* outside);                                     \
  void Split8(const uint8_t* heads, size_t count, const uint8_t* shifts, unsigned base, uint8_t* symbols,              \
              uint8_t* signs, uint8_t* outside);                                                                       \
  void Join16(const uint8_t* symbols, const uint8_t* signs, const uint8_t* nibbles, const uint8_t* bits, size_t count, \
              const uint8_t* shifts, unsigned base, uint8_t* heads);                                                   \
  void Join8(const uint8_t* symbols, const uint8_t* signs, size_t count, const uint8_t* shifts, unsigned base,         \
             uint8_t* heads);                                                                                          \
  void PackBlocks1(const uint8_t* values, size_t block_count, uint8_t* packed);                                        \
  void PackBlocks4(const uint8_t* values, size_t block_count, uint8_t* packed);                                        \
  void UnpackBlocks1(const uint8_t* packed, size_t block_count, uint8_t* values);                                      \
  void UnpackBlocks4(const uint8_t* packed, size_t block_count, uint8_t* values);                                      \
  }
FLYWEIGHT_DECLARE_CLASS_KERNELS(scalar)
FLYWEIGHT_DECLARE_CLASS_KERNELS(avx2)
FLYWEIGHT_DECLARE_CLASS_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_CLASS_KERNELS

}  // namespace flyweight
