#include "transform/block_fields/block_fields.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace flyweight {
namespace {

constexpr uint64_t kEachByte = 0x0101010101010101;
// Blocks are moved field by field in pieces that stay in the first cache.
constexpr size_t kPieceBytes = size_t{1} << 13;

// A field as words of lanes see it: `bits` bits from bit `from` of each byte to bit `to`.
struct LaneField {
  int from = 0;
  int to = 0;
  uint64_t mask = 0;

  uint64_t Take(uint64_t lanes) const { return ((lanes >> from) & mask) << to; }
};

LaneField FieldOf(const FieldMove& move, bool split) {
  uint64_t mask = ((uint64_t{1} << move.bits) - 1) * kEachByte;
  if (split) return {move.source_shift, move.target_shift, mask};
  return {move.target_shift, move.source_shift, mask};
}

template <typename Word>
void MoveWord(const std::byte* from, std::byte* to, const LaneField& field, bool first) {
  auto moved = static_cast<Word>(field.Take(LoadLe<Word>(from)));
  StoreLe(to, static_cast<Word>(first ? moved : moved | LoadLe<Word>(to)));
}

// The first field that comes into a byte defines all of it.
void MoveLanes(const std::byte* from, std::byte* to, size_t lanes, const LaneField& field, bool first) {
  size_t i = 0;
  for (; i + 8 <= lanes; i += 8) MoveWord<uint64_t>(from + i, to + i, field, first);
  for (; i + 4 <= lanes; i += 4) MoveWord<uint32_t>(from + i, to + i, field, first);
  for (; i < lanes; ++i) MoveWord<uint8_t>(from + i, to + i, field, first);
}

void MoveStepped(const std::byte* from, size_t from_step, std::byte* to, size_t to_step, size_t lanes,
                 const LaneField& field, bool first) {
  for (size_t i = 0; i < lanes; ++i) MoveWord<uint8_t>(from + i * from_step, to + i * to_step, field, first);
}

// Eight bits to the lowest bits of eight bytes, and back.
uint64_t SpreadBits(uint8_t bits) {
  constexpr uint64_t kOneEach = 0x8040201008040201;
  uint64_t selected = (bits * kEachByte) & kOneEach;
  return ((selected + 0x7F * kEachByte) >> 7) & kEachByte;
}

uint8_t GatherBits(uint64_t lanes) { return static_cast<uint8_t>(((lanes & kEachByte) * 0x0102040810204080) >> 56); }

// A spread field never is the first in its bytes.
void SplitSpread(const FieldMove& move, const std::byte* block, std::byte* share) {
  for (size_t i = 0; i < move.lanes; i += 8) {
    std::byte* to = share + i;
    uint64_t bits = SpreadBits(LoadLe<uint8_t>(block + i / 8)) << move.target_shift;
    StoreLe(to, LoadLe<uint64_t>(to) | bits);
  }
}

void MergeSpread(const FieldMove& move, const std::byte* share, std::byte* block) {
  for (size_t i = 0; i < move.lanes; i += 8) {
    StoreLe(block + i / 8, GatherBits(LoadLe<uint64_t>(share + i) >> move.target_shift));
  }
}

void SplitField(const BlockLayout& layout, const FieldMove& move, const std::byte* blocks, size_t count,
                std::byte* stream) {
  const size_t share_bytes = layout.stream_bytes[move.stream];
  const LaneField field = FieldOf(move, true);
  const bool first = move.target_shift == 0;
  for (size_t b = 0; b < count; ++b) {
    const std::byte* from = blocks + b * layout.block_bytes + move.source;
    std::byte* to = stream + b * share_bytes + move.target;
    if (move.spread) {
      SplitSpread(move, from, to);
    } else if (move.source_step != 1) {
      MoveStepped(from, move.source_step, to, 1, move.lanes, field, first);
    } else {
      MoveLanes(from, to, move.lanes, field, first);
    }
  }
}

void MergeField(const BlockLayout& layout, const FieldMove& move, const std::byte* stream, size_t count,
                std::byte* blocks) {
  const size_t share_bytes = layout.stream_bytes[move.stream];
  const LaneField field = FieldOf(move, false);
  const bool first = move.source_shift == 0;
  for (size_t b = 0; b < count; ++b) {
    const std::byte* from = stream + b * share_bytes + move.target;
    std::byte* to = blocks + b * layout.block_bytes + move.source;
    if (move.spread) {
      MergeSpread(move, from, to);
    } else if (move.source_step != 1) {
      MoveStepped(from, 1, to, move.source_step, move.lanes, field, first);
    } else {
      MoveLanes(from, to, move.lanes, field, first);
    }
  }
}

}  // namespace

void SplitBlocks(const BlockLayout& layout, const std::byte* blocks, size_t block_count, std::byte* streams) {
  std::byte* stream_at[kMaxBlockStreams];
  for (size_t s = 0; s < layout.stream_bytes.size(); ++s) {
    stream_at[s] = streams;
    streams += layout.stream_bytes[s] * block_count;
  }
  const size_t piece = std::max<size_t>(1, kPieceBytes / layout.block_bytes);
  for (size_t b = 0; b < block_count; b += piece) {
    size_t count = std::min(piece, block_count - b);
    for (const FieldMove& move : layout.moves) {
      SplitField(layout, move, blocks + b * layout.block_bytes, count,
                 stream_at[move.stream] + b * layout.stream_bytes[move.stream]);
    }
  }
}

void MergeBlocks(const BlockLayout& layout, const std::byte* const* streams, size_t block_count, std::byte* blocks) {
  const size_t piece = std::max<size_t>(1, kPieceBytes / layout.block_bytes);
  for (size_t b = 0; b < block_count; b += piece) {
    size_t count = std::min(piece, block_count - b);
    for (const FieldMove& move : layout.moves) {
      MergeField(layout, move, streams[move.stream] + b * layout.stream_bytes[move.stream], count,
                 blocks + b * layout.block_bytes);
    }
  }
}

}  // namespace flyweight
