#pragma once

#include <cstddef>
#include <cstdint>

#include "simd/isa.h"

namespace flyweight {

struct NibbleTables;

// rANS over nibbles in 16 tables (docs/format.md section 3.14.3): 128 lanes, 256 slots, one stream of bytes. Kernels
// neither allocate nor fail; every ISA gives the same bytes.

inline constexpr size_t kNibbleLanes = 128;
inline constexpr size_t kNibbleReadAhead = 256;  ///< a decoder may read this far behind a stream's end
inline constexpr size_t kNibbleWriteAhead = 64;  ///< an encoder may write this far below a stream's begin
inline constexpr size_t kNibbleThresholds = 15;

/// NibbleTables spread out for the kernels. A symbol's slots are those of all symbols above it and then its own:
/// symbol >= i exactly where slot < threshold[i], which fits a byte and needs no case of its own.
struct alignas(64) NibbleCoder {
  explicit NibbleCoder(const NibbleTables& tables);

  /// Row n holds a threshold of each table: 8; then 4 and 12, of which that below the first decision's outcome is
  /// next; then 2, 6, 10, 14; then 1, 3, ... 15. Tables that are not there are those of table 0.
  uint8_t search[kNibbleThresholds + 1][16];
  uint8_t symbol_of_slot[16][256];  ///< by table

  // By table << 4 | symbol.
  uint8_t frequency[256];
  uint8_t first_slot[256];
  uint8_t reciprocal_low[256];  ///< of floor(65536 / frequency), at most 65535
  uint8_t reciprocal_high[256];
  uint32_t of_pair[256];  ///< those four, the frequency lowest
};

/// State of a lane = high * 256 + low.
struct alignas(64) NibbleStates {
  uint8_t low[kNibbleLanes];
  uint8_t high[kNibbleLanes];
};

/// Decodes rows of 128 symbols. A stream that is too short stays one byte behind its end, whatever the bytes are, so
/// that it never looks used up.
struct DecodeNibblesArgs {
  const NibbleCoder* coder;
  NibbleStates* states;
  const uint8_t* stream;  ///< advanced
  const uint8_t* stream_end;
  const uint8_t* tables;  ///< row_count * 128, all under 16
  uint8_t* symbols;       ///< row_count * 128
  size_t row_count;
  const void* ahead = nullptr;  ///< what the caller reads next: `ahead_bytes` for each row are asked for; null: none
  size_t ahead_row_bytes = 0;   ///< a multiple of 64
};
using DecodeNibblesFunction = void (*)(DecodeNibblesArgs& args);

/// Encodes rows of 128 symbols from the last to the first; the stream is written downwards.
struct EncodeNibblesArgs {
  const NibbleCoder* coder;
  NibbleStates* states;
  const uint8_t* pairs;  ///< row_count * 128: table << 4 | symbol, each with a frequency
  uint8_t* stream;       ///< row_count * 128 + kNibbleWriteAhead bytes of room below; result: its begin
  size_t row_count;
};
using EncodeNibblesFunction = void (*)(EncodeNibblesArgs& args);

/// pairs[i] = tables[i] << 4 | symbols[i]; `pairs` may be either of them.
using PairNibblesFunction = void (*)(const uint8_t* tables, const uint8_t* symbols, size_t count, uint8_t* pairs);

extern const IsaTable<DecodeNibblesFunction> kDecodeNibbles;
extern const IsaTable<EncodeNibblesFunction> kEncodeNibbles;
extern const IsaTable<PairNibblesFunction> kPairNibbles;

/// One row of which the first `count` lanes are there: the truth that the kernels must match. The decoder reads no
/// further than stream_end + count.
void DecodeNibbleRow(DecodeNibblesArgs& args, size_t count);
void EncodeNibbleRow(EncodeNibblesArgs& args, size_t count);

#define FLYWEIGHT_DECLARE_NIBBLE_KERNELS(isa)                                                    \
  namespace isa {                                                                                \
  void DecodeNibbles(DecodeNibblesArgs& args);                                                   \
  void EncodeNibbles(EncodeNibblesArgs& args);                                                   \
  void PairNibbles(const uint8_t* tables, const uint8_t* symbols, size_t count, uint8_t* pairs); \
  }
FLYWEIGHT_DECLARE_NIBBLE_KERNELS(scalar)
FLYWEIGHT_DECLARE_NIBBLE_KERNELS(avx2)
FLYWEIGHT_DECLARE_NIBBLE_KERNELS(avx512)
FLYWEIGHT_DECLARE_NIBBLE_KERNELS(neon)
#undef FLYWEIGHT_DECLARE_NIBBLE_KERNELS

}  // namespace flyweight
