#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

// Contexts, classes and raw bits of dense deltas (docs/format.md section 3.14.3). Kernels neither allocate nor fail;
// every ISA gives the same bytes. This header is compiled for several instruction sets and so holds no inline
// functions.

inline constexpr size_t kDeltaGroup = 64;       ///< words whose raw bits stand together
inline constexpr size_t kDeltaReadAhead = 256;  ///< may be read behind a stream of bits
inline constexpr size_t kDeltaWriteAhead = 8;   ///< may be written behind a stream of bits
inline constexpr uint8_t kDeltaEscape = 15;     ///< the symbol of a difference that no class holds
inline constexpr uint8_t kDeltaActivityBias = 64;
inline constexpr uint8_t kDeltaMaxWidth = 24;

/// A stream of bits, least significant first. A stream that is too short stays one bit behind its end, whatever the
/// bytes are, so that it never looks used up.
struct DeltaBitReader {
  const uint8_t* bytes = nullptr;  ///< kDeltaReadAhead readable bytes follow the stream
  uint64_t position_bits = 0;
  uint64_t size_bits = 0;
};

/// A stream of bits being written: `bytes` is where the next whole word of 8 bytes goes.
struct DeltaBitWriter {
  uint8_t* bytes = nullptr;
  uint64_t held = 0;
  unsigned held_bits = 0;
};

/// Contexts of words and, where the layout has them, widths of their low bits.
struct DeltaContextsArgs {
  const void* words;          ///< of the base
  const uint8_t* activities;  ///< one a word
  size_t count;
  uint8_t exponent_origin;
  const uint8_t* tables;  ///< 64: what to write for each context
  uint8_t* contexts;      ///< one a word
  uint8_t* widths;        ///< one a word; null for layouts without
};
using DeltaContextsFunction = void (*)(const DeltaContextsArgs& args);

/// Words and their base to symbols and bits.
struct SplitDeltaArgs {
  const void* base;
  const void* words;
  const uint8_t* widths;  ///< null for layouts without
  size_t count;           ///< a multiple of kDeltaGroup but for the last call of a chunk
  uint8_t* symbols;
  DeltaBitWriter* planes;
  DeltaBitWriter* low;  ///< null for layouts without widths
  uint32_t* escapes;    ///< numbers of the words with kDeltaEscape, ascending, from 0; room for all words
  size_t escape_count;  ///< result
};
using SplitDeltaFunction = void (*)(SplitDeltaArgs& args);

/// The symbols alone.
using ClassifyDeltaFunction = void (*)(const void* base, const void* words, const uint8_t* widths, size_t count,
                                       uint8_t* symbols);

/// Symbols and bits to words. `words` may be `base`.
struct JoinDeltaArgs {
  const void* base;
  const uint8_t* symbols;  ///< all under 16
  const uint8_t* widths;   ///< null for layouts without
  size_t count;            ///< a multiple of kDeltaGroup but for the last call of a chunk
  DeltaBitReader* planes;
  DeltaBitReader* low;  ///< null for layouts without widths
  void* words;          ///< those with kDeltaEscape become their base
  uint32_t* escapes;    ///< as for SplitDeltaArgs
  size_t escape_count;  ///< result
};
using JoinDeltaFunction = void (*)(JoinDeltaArgs& args);

#define FLYWEIGHT_DECLARE_DELTA_KERNELS_OF(layout)                                                     \
  void DeltaContexts##layout(const DeltaContextsArgs& args);                                           \
  void SplitDelta##layout(SplitDeltaArgs& args);                                                       \
  void ClassifyDelta##layout(const void* base, const void* words, const uint8_t* widths, size_t count, \
                             uint8_t* symbols);                                                        \
  void JoinDelta##layout(JoinDeltaArgs& args);
#define FLYWEIGHT_DECLARE_DELTA_KERNELS(isa)                                                \
  namespace isa {                                                                           \
  FLYWEIGHT_DECLARE_DELTA_KERNELS_OF(BF16)                                                  \
  FLYWEIGHT_DECLARE_DELTA_KERNELS_OF(F16)                                                   \
  FLYWEIGHT_DECLARE_DELTA_KERNELS_OF(F32)                                                   \
  void AddActivity(const uint8_t* columns, size_t count, uint8_t row, uint8_t* activities); \
  }
FLYWEIGHT_DECLARE_DELTA_KERNELS(scalar)
FLYWEIGHT_DECLARE_DELTA_KERNELS(avx2)
FLYWEIGHT_DECLARE_DELTA_KERNELS(avx512)
FLYWEIGHT_DECLARE_DELTA_KERNELS(neon)
#undef FLYWEIGHT_DECLARE_DELTA_KERNELS
#undef FLYWEIGHT_DECLARE_DELTA_KERNELS_OF

}  // namespace flyweight
