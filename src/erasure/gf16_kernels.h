#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "erasure/gf16.h"

namespace flyweight {

// Kernels over rows of 16-bit words of GF(2^16). A row is cut into pieces of 128 bytes, each 64 words: their low bytes,
// then their high bytes. Rows stand one behind the other. Kernels neither allocate nor fail; every ISA gives the same
// bytes. This header is compiled for several instruction sets: nothing may be inline here.

inline constexpr size_t kGfPieceBytes = 128;  ///< every row is a multiple of this

/// The steps of an additive FFT on `2 * distance` rows (pairs) or `4 * distance` rows (two steps at once).
/// Forward step with multiplier c on rows a and b: a += c * b, then b += a. Inverse: b += a, then a += c * b.
struct GfButterflies {
  std::byte* rows;
  size_t row_bytes;
  size_t distance;  ///< rows between the two of a pair, at the finer of two steps
  /// Pairs: [0] only. Quads: [0] and [1] are those of the finer step, for the first and the second half of the rows;
  /// [2] is that of the coarser.
  uint16_t multipliers[3];
  const GfKernelTables* tables;
};

struct GfKernels {
  std::string_view name;
  void (*forward_pairs)(const GfButterflies& butterflies);
  void (*inverse_pairs)(const GfButterflies& butterflies);
  void (*forward_quads)(const GfButterflies& butterflies);
  void (*inverse_quads)(const GfButterflies& butterflies);
  /// row *= multiplier
  void (*multiply)(std::byte* row, size_t row_bytes, uint16_t multiplier, const GfKernelTables& tables);
  /// target += source
  void (*add)(std::byte* target, const std::byte* source, size_t size_bytes);
};

/// The kernels for ActiveIsa(). Those of kAvx512 need GFNI too; a CPU without it gets those of kAvx2.
const GfKernels& PickGfKernels();

// One an instruction set; use PickGfKernels.
namespace scalar {
extern const GfKernels kGfKernels;
}
namespace avx2 {
extern const GfKernels kGfKernels;
}
namespace gfni {
extern const GfKernels kGfKernels;
}
namespace neon {
extern const GfKernels kGfKernels;
}

}  // namespace flyweight
