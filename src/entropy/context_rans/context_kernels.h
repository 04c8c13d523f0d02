#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.h"

namespace flyweight {

// rANS over bytes in contexts (docs/format.md section 3.7). Kernels neither allocate nor fail; every ISA gives the same
// bytes.

inline constexpr size_t kContextLanes = 64;
inline constexpr size_t kContextReadAhead = 256;  ///< a decoder may read this far behind a stream's end

/// A slot of a decoding table: value | first slot difference << 8 | (frequency - 1) << 20, where the difference is
/// that of the slot and the value's first one.
struct DecodeContextsArgs {
  const uint32_t* slots;    ///< contexts * 2^precision_bits
  const uint8_t* contexts;  ///< one a value, all under the number of contexts; null: all 0
  uint32_t* states;         ///< kContextLanes
  const uint8_t* stream;    ///< advanced; stays one byte behind the end where the stream is too short
  const uint8_t* stream_end;
  uint8_t* values;  ///< row_count * kContextLanes
  size_t row_count;
  int precision_bits;
};
using DecodeContextsFunction = void (*)(DecodeContextsArgs& args);

extern const IsaTable<DecodeContextsFunction> kDecodeContexts;

/// Decodes one row of `lanes` values, of which the first `count` are there: the truth that the kernels must match.
void DecodeContextRow(DecodeContextsArgs& args, size_t count);

#define FLYWEIGHT_DECLARE_CONTEXT_KERNELS(isa)   \
  namespace isa {                                \
  void DecodeContexts(DecodeContextsArgs& args); \
  }
FLYWEIGHT_DECLARE_CONTEXT_KERNELS(scalar)
FLYWEIGHT_DECLARE_CONTEXT_KERNELS(avx2)
FLYWEIGHT_DECLARE_CONTEXT_KERNELS(avx512)
FLYWEIGHT_DECLARE_CONTEXT_KERNELS(neon)
#undef FLYWEIGHT_DECLARE_CONTEXT_KERNELS

}  // namespace flyweight
