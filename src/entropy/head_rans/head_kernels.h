#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.h"

namespace flyweight {

struct HeadTable;

// The coder of float heads: rANS over (exponent, top mantissa bit), fused with taking the other bits of a head apart
// and together (docs/format.md section 3.5). Kernels neither allocate nor fail; every ISA gives the same bytes. This
// header is compiled for several instruction sets: what is inline here must be inlined, or the linker could pick a copy
// the CPU cannot run.

inline constexpr size_t kHeadBlock = 64;       ///< lanes of a stream, heads of a block
inline constexpr size_t kHeadIteration = 512;  ///< heads of one iteration: 8 blocks
inline constexpr size_t kHeadBatch =
    16;  ///< iterations that callers pass at a time, so that buffers stay in the first-level cache
inline constexpr size_t kHeadStreams = 2;        ///< block j of an iteration belongs to stream j % 2
inline constexpr size_t kCarriedBytes = 128;     ///< bytes of the rest plane that travel in the final states
inline constexpr size_t kStreamReadAhead = 384;  ///< a decoder may read this far behind a stream's end
inline constexpr size_t kStreamWriteAhead = 64;  ///< an encoder may write this far below a stream's begin

enum class HeadKind : uint8_t { k16 = 0, k8 = 1 };  ///< heads of 16 bits (BF16, F32) and of 8 bits (F16)

[[gnu::always_inline]] inline constexpr size_t HeadBytes(HeadKind kind) { return kind == HeadKind::k16 ? 2 : 1; }
/// Bytes of the rest plane an iteration: 7 bits a head, or 2.
[[gnu::always_inline]] inline constexpr size_t RestBytesPerIteration(HeadKind kind) {
  return kind == HeadKind::k16 ? 448 : 128;
}

/// Position in a block of the element with number `element` in it, and back. Positions are the order in which byte
/// registers pack.
[[gnu::always_inline]] inline constexpr size_t HeadPosition(size_t element) {
  return (element & ~size_t{63}) | ((element & 31) >> 3 << 4) | ((element & 32) >> 2) | (element & 7);
}
[[gnu::always_inline]] inline constexpr size_t HeadElement(size_t position) {
  size_t group = (position & 63) >> 3;
  return (position & ~size_t{63}) | (((group >> 1) + (group & 1) * 4) << 3) | (position & 7);
}

/// A HeadTable spread out for the kernels. Symbol = 2 * rank + bit.
struct alignas(64) HeadCoder {
  explicit HeadCoder(const HeadTable& table);

  uint8_t slot_symbol[256];
  uint8_t slot_frequency[256];    ///< of the slot's symbol
  uint8_t slot_offset[256];       ///< inside the slot's symbol
  uint8_t rank_of_exponent[256];  ///< 255: not in the palette
  uint8_t frequency[64];          ///< by symbol, as are the next four; filled up with zeros
  uint8_t first_slot[64];
  uint8_t exponent[64];
  uint8_t reciprocal_low[64];  ///< of floor(65536 / frequency), at most 65535
  uint8_t reciprocal_high[64];

  // Two-level lookup of 16-lane byte shuffles: rank = group_rank[slot >> 4] + number of thresholds of that group below
  // the slot.
  uint8_t group_rank[16];
  uint8_t thresholds[16][16];  ///< [k][group], as signed bytes for a greater-than compare; 127: none
  uint8_t threshold_count;
  uint8_t default_rank;  ///< coded in place of an exponent outside the palette
  uint8_t rank_first_slot[16];
  uint8_t rank_frequency0[16];
  uint8_t rank_frequency1[16];
  uint8_t rank_exponent[16];
};

/// The lanes of both streams: state = high * 256 + low.
struct alignas(64) HeadStates {
  uint8_t low[kHeadStreams][kHeadBlock];
  uint8_t high[kHeadStreams][kHeadBlock];
};

/// What else a caller will touch for the words of the first iteration, when it puts heads and low planes together:
/// kernels ask for it ahead of time. All null where heads are the words.
struct HeadsAhead {
  const uint8_t* low[2];  ///< a byte a word
  size_t low_count;
  const uint8_t* words;
  size_t word_bytes;
};

/// Decodes `iterations` iterations. Advances streams and states, so a chunk can be decoded in pieces. A stream that is
/// too short stays one byte behind its end, whatever the bytes are, so that it never looks used up.
struct DecodeHeadsArgs {
  const HeadCoder* coder;
  HeadStates* states;
  const uint8_t* streams[kHeadStreams];
  const uint8_t* stream_ends[kHeadStreams];  ///< kStreamReadAhead readable bytes follow
  const uint8_t* rest;                       ///< iterations * RestBytesPerIteration
  const uint8_t* shifts;                     ///< in element order, one a head; null: none
  void* heads;                               ///< iterations * kHeadIteration heads in element order
  size_t iterations;
  HeadsAhead ahead = {};
};
using DecodeHeadsFunction = void (*)(DecodeHeadsArgs& args);

/// Takes heads apart into symbols (by position) and the rest plane; lists the heads whose exponent the palette lacks
/// and gives them default_rank.
struct SplitHeadsArgs {
  const HeadCoder* coder;
  const void* heads;
  const uint8_t* shifts;  ///< in element order; null: none
  uint8_t* symbols;       ///< iterations * kHeadIteration
  uint8_t* rest;          ///< iterations * RestBytesPerIteration
  uint32_t* patched;  ///< numbers of the heads outside the palette, unordered inside an iteration; room for all heads
  uint32_t first_number;  ///< number of the first head
  size_t patched_count;   ///< result
  size_t iterations;
};
using SplitHeadsFunction = void (*)(SplitHeadsArgs& args);

/// Encodes symbols from the last to the first. Streams are written downwards from streams[g]; the results are their
/// begins.
struct EncodeSymbolsArgs {
  const HeadCoder* coder;
  HeadStates* states;  ///< in: high 1, low the carried bytes; out: what the decoder starts with
  const uint8_t* symbols;
  uint8_t* streams[kHeadStreams];  ///< iterations * 256 + kStreamWriteAhead bytes of room below each
  size_t iterations;
};
using EncodeSymbolsFunction = void (*)(EncodeSymbolsArgs& args);

inline constexpr size_t kCountTables = 4;

/// Counts (exponent, bit) after the shifts, adding to `counts`; the sum over its tables is the histogram.
struct CountHeadsArgs {
  const void* heads;
  const uint8_t* shifts;  ///< in element order; null: none
  size_t iterations;
  uint32_t* counts;  ///< kCountTables * 512: 2 * exponent + bit
};
void CountHeads(HeadKind kind, const CountHeadsArgs& args);

extern const IsaTable<DecodeHeadsFunction> kDecodeHeads[2];  ///< by HeadKind
extern const IsaTable<SplitHeadsFunction> kSplitHeads[2];
extern const IsaTable<EncodeSymbolsFunction> kEncodeSymbols;

// One function an ISA and head kind; use the tables above.
#define FLYWEIGHT_DECLARE_HEAD_KERNELS(isa)    \
  namespace isa {                              \
  void DecodeHeads16(DecodeHeadsArgs& args);   \
  void DecodeHeads8(DecodeHeadsArgs& args);    \
  void SplitHeads16(SplitHeadsArgs& args);     \
  void SplitHeads8(SplitHeadsArgs& args);      \
  void EncodeSymbols(EncodeSymbolsArgs& args); \
  }
FLYWEIGHT_DECLARE_HEAD_KERNELS(scalar)
FLYWEIGHT_DECLARE_HEAD_KERNELS(avx2)
FLYWEIGHT_DECLARE_HEAD_KERNELS(avx512)
FLYWEIGHT_DECLARE_HEAD_KERNELS(neon)
#undef FLYWEIGHT_DECLARE_HEAD_KERNELS

}  // namespace flyweight
