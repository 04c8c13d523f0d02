#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "flyweight/tensor.h"

namespace flyweight {

/// How the blocks of a quantised type are cut into streams, one a field (docs/format.md section 3.11): every bit of a
/// block goes to one place of one stream, so that scales, minima and quants are coded apart and each quant is whole.

/// Copies a field of bits in each of `lanes` bytes: bits [source_shift, source_shift + bits) of block byte
/// `source + i * source_step` to bits [target_shift, ...) of byte `target + i` of the block's share of a stream. With
/// `spread` bit i of the bit string that starts at block byte `source` goes to byte `target + i`.
struct FieldMove {
  uint16_t source = 0;
  uint16_t target = 0;
  uint16_t lanes = 0;
  uint8_t source_step = 1;
  uint8_t source_shift = 0;
  uint8_t target_shift = 0;
  uint8_t bits = 8;
  uint8_t stream = 0;
  bool spread = false;
};

/// Where the quants of a type with minima stand and which scales give the quant that zero falls on. The quants are the
/// last stream; they lie in `runs` of `lanes` bytes, each byte `fields` quants of `bits` bits from the lowest. The
/// scale of field f in run r is number `first[r] + f * step` of its block.
struct CentreRule {
  uint8_t bits = 0;  ///< 0: the type has no minima
  uint8_t fields = 0;
  uint8_t lanes = 0;
  uint8_t runs = 0;
  uint8_t step = 0;
  uint8_t scales = 0;              ///< in a block
  bool negative_minimum = false;   ///< the minimum is subtracted, not added
  std::array<uint8_t, 8> first{};  ///< of each run
};

/// What the scale of a block may have been computed from: (maximum - minimum) / steps, or the largest magnitude / steps
/// for types without minima.
struct RangeRule {
  uint8_t steps = 0;  ///< 0: scales come about in another way, or a division by a power of two that loses nothing
  bool has_minimum = false;
};

/// Which scale each unit of quants has: `unit_bytes` of the quants' stream for each unit, one unit a block or one for
/// each byte of the first stream.
struct UnitRule {
  uint8_t unit_bytes = 0;  ///< 0: the scales of units are no single number
  uint8_t units = 0;       ///< in a block
  bool half = false;       ///< the scale is the F16 of the first two streams, not a byte of the first
};

/// Every type with minima starts with these streams: low and high bytes of its F16 scale and minimum; then, where it
/// has more than one scale, those of 6 bits and then the minima.
inline constexpr size_t kScaleStream = 0;
inline constexpr size_t kMinimumStream = 2;
inline constexpr size_t kSubScaleStream = 4;
inline constexpr size_t kSubMinimumStream = 5;

struct BlockLayout {
  DType dtype = DType::kOpaque;
  size_t block_bytes = 0;
  size_t total_stream_bytes = 0;       ///< of one block
  std::vector<uint16_t> stream_bytes;  ///< of one block, for each stream
  std::vector<FieldMove> moves;        ///< the one that takes or fills a byte's lowest bits comes first
  CentreRule centre;
  RangeRule range;
  UnitRule unit;
};

inline constexpr size_t kMaxBlockStreams = 8;

/// The layout of a block type, or nullptr for any other dtype.
const BlockLayout* FindBlockLayout(DType dtype);

}  // namespace flyweight
