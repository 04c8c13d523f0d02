#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

/// Sums over pairs of elements, in eight lanes: element i goes to lane i % 8, so that every ISA adds in one order.
struct ErrorLanes {
  double max_abs[8] = {};   ///< of source - restored
  double squares[8] = {};   ///< of source - restored
  double energy[8] = {};    ///< squares of the finite elements of the source
  double largest[8] = {};   ///< magnitude of the finite elements of the source
  double specials[8] = {};  ///< how many elements of the source are not finite
  double broken[8] = {};    ///< how often only one of the two is NaN, or an infinity is not itself
};

/// The codes of one strip of blocks. `count` need not be whole blocks.
struct BlockArgs {
  size_t count = 0;
  size_t block = 0;
  int32_t levels = 0;  ///< the highest code
  int32_t bias = 0;    ///< the code of zero; 0 where blocks have minima
  uint8_t* codes = nullptr;
  uint16_t* scales = nullptr;  ///< BF16, one a block
  uint16_t* minima = nullptr;  ///< BF16, one a block, or null
};

// Plain loops that the compiler vectorises, compiled once for each ISA; use quantise.h and error_sums.h. Elements of
// bytes need no alignment.
#define FLYWEIGHT_DECLARE_LOSSY_KERNELS(isa)                                                       \
  namespace isa {                                                                                  \
  void WidenF16(const uint8_t* words, size_t count, float* values);                                \
  void WidenBF16(const uint8_t* words, size_t count, float* values);                               \
  void NarrowF16(const float* values, size_t count, uint8_t* words);                               \
  void NarrowBF16(const float* values, size_t count, uint8_t* words);                              \
  void LoadF64(const uint8_t* words, size_t count, float* values);                                 \
  void StoreF64(const float* values, size_t count, uint8_t* words);                                \
  void QuantiseBlocks(const float* values, const BlockArgs& args);                                 \
  void DequantiseBlocks(const BlockArgs& args, float* values);                                     \
  uint8_t MaxByte(const uint8_t* bytes, size_t count);                                             \
  void AddErrors32(const float* source, const float* restored, size_t count, ErrorLanes& lanes);   \
  void AddErrors64(const double* source, const double* restored, size_t count, ErrorLanes& lanes); \
  }
FLYWEIGHT_DECLARE_LOSSY_KERNELS(scalar)
FLYWEIGHT_DECLARE_LOSSY_KERNELS(avx2)
FLYWEIGHT_DECLARE_LOSSY_KERNELS(avx512)
#undef FLYWEIGHT_DECLARE_LOSSY_KERNELS

}  // namespace flyweight
