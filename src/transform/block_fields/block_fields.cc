#include "transform/block_fields/block_fields.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace flyweight {
namespace {

constexpr uint64_t kEachByte = 0x0101010101010101;
// Blocks are moved field by field in pieces that stay in the first cache.
constexpr size_t kPieceBytes = size_t{1} << 13;

// One field on its way: `bits` bits from bit `from` of each lane to bit `to`. Splitting and merging differ in nothing
// but which side is which.
struct Route {
  const std::byte* source = nullptr;
  std::byte* target = nullptr;
  size_t source_stride = 0;  // from block to block
  size_t target_stride = 0;
  size_t source_step = 1;  // from lane to lane
  size_t target_step = 1;
  size_t lanes = 0;
  size_t block_count = 0;
  int from = 0;
  int to = 0;
  uint64_t mask = 0;

  // The field that comes first into a byte defines all of it.
  bool first() const { return to == 0; }
  bool whole() const { return from == 0 && mask == ~uint64_t{0}; }
};

template <bool kFirst, typename Word>
void MoveWord(const Route& route, const std::byte* source, std::byte* target) {
  auto moved = static_cast<Word>(((uint64_t{LoadLe<Word>(source)} >> route.from) & route.mask) << route.to);
  StoreLe(target, static_cast<Word>(kFirst ? moved : moved | LoadLe<Word>(target)));
}

// A constant count of lanes lets the compiler unroll.
template <bool kFirst, size_t kLanes>
void MoveLanes(const Route& given) {
  const Route route = given;  // a copy that no store can change
  const std::byte* source = route.source;
  std::byte* target = route.target;
  for (size_t b = 0; b < route.block_count; ++b, source += route.source_stride, target += route.target_stride) {
    size_t i = 0;
    for (; i + 8 <= kLanes; i += 8) MoveWord<kFirst, uint64_t>(route, source + i, target + i);
    if constexpr (kLanes % 8 == 4) MoveWord<kFirst, uint32_t>(route, source + i, target + i);
    if constexpr (kLanes == 1) MoveWord<kFirst, uint8_t>(route, source, target);
  }
}

template <bool kFirst>
void MoveSteps(const Route& given) {
  const Route route = given;
  for (size_t b = 0; b < route.block_count; ++b) {
    const std::byte* source = route.source + b * route.source_stride;
    std::byte* target = route.target + b * route.target_stride;
    for (size_t i = 0; i < route.lanes; ++i) {
      MoveWord<kFirst, uint8_t>(route, source + i * route.source_step, target + i * route.target_step);
    }
  }
}

template <size_t kLanes>
void CopyLanes(const Route& route) {
  const std::byte* source = route.source;
  std::byte* target = route.target;
  for (size_t b = 0; b < route.block_count; ++b, source += route.source_stride, target += route.target_stride) {
    std::memcpy(target, source, kLanes == 0 ? route.lanes : kLanes);
  }
}

void CopyWhole(const Route& route) {
  switch (route.lanes) {
    case 1:
      return CopyLanes<1>(route);
    case 16:
      return CopyLanes<16>(route);
    case 32:
      return CopyLanes<32>(route);
    default:
      return CopyLanes<0>(route);
  }
}

template <bool kFirst>
void MoveField(const Route& route) {
  if (route.source_step == 1 && route.target_step == 1) {
    if (route.lanes == 1) return MoveLanes<kFirst, 1>(route);
    if (route.lanes == 4) return MoveLanes<kFirst, 4>(route);
    if (route.lanes == 8) return MoveLanes<kFirst, 8>(route);
    if (route.lanes == 16) return MoveLanes<kFirst, 16>(route);
    if (route.lanes == 32) return MoveLanes<kFirst, 32>(route);
  }
  MoveSteps<kFirst>(route);
}

// Eight bits to the lowest bits of eight bytes, and back.
uint64_t SpreadBits(uint8_t bits) {
  constexpr uint64_t kOneEach = 0x8040201008040201;
  uint64_t selected = (bits * kEachByte) & kOneEach;
  return ((selected + 0x7F * kEachByte) >> 7) & kEachByte;
}

uint8_t GatherBits(uint64_t lanes) { return static_cast<uint8_t>(((lanes & kEachByte) * 0x0102040810204080) >> 56); }

// Spread bits are never the first in their bytes.
void SplitSpread(const Route& route) {
  for (size_t b = 0; b < route.block_count; ++b) {
    for (size_t i = 0; i < route.lanes; i += 8) {
      auto bits = LoadLe<uint8_t>(route.source + b * route.source_stride + i / 8);
      std::byte* target = route.target + b * route.target_stride + i;
      StoreLe(target, LoadLe<uint64_t>(target) | SpreadBits(bits) << route.to);
    }
  }
}

void MergeSpread(const Route& route) {
  for (size_t b = 0; b < route.block_count; ++b) {
    for (size_t i = 0; i < route.lanes; i += 8) {
      auto lanes = LoadLe<uint64_t>(route.source + b * route.source_stride + i);
      StoreLe(route.target + b * route.target_stride + i / 8, GatherBits(lanes >> route.from));
    }
  }
}

void Follow(const Route& route) {
  if (route.whole()) {
    if (route.source_step == 1 && route.target_step == 1) return CopyWhole(route);
  }
  route.first() ? MoveField<true>(route) : MoveField<false>(route);
}

Route RouteOf(const FieldMove& move, size_t block_count) {
  Route route;
  route.lanes = move.lanes;
  route.block_count = block_count;
  route.mask = ((uint64_t{1} << move.bits) - 1) * kEachByte;
  return route;
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
    for (const FieldMove& move : layout.moves) {
      Route route = RouteOf(move, std::min(piece, block_count - b));
      route.source = blocks + b * layout.block_bytes + move.source;
      route.source_stride = layout.block_bytes;
      route.source_step = move.source_step;
      route.from = move.source_shift;
      route.target_stride = layout.stream_bytes[move.stream];
      route.target = stream_at[move.stream] + b * route.target_stride + move.target;
      route.to = move.target_shift;
      move.spread ? SplitSpread(route) : Follow(route);
    }
  }
}

void MergeBlocks(const BlockLayout& layout, const std::byte* const* streams, size_t block_count, std::byte* blocks) {
  const size_t piece = std::max<size_t>(1, kPieceBytes / layout.block_bytes);
  for (size_t b = 0; b < block_count; b += piece) {
    for (const FieldMove& move : layout.moves) {
      Route route = RouteOf(move, std::min(piece, block_count - b));
      route.source_stride = layout.stream_bytes[move.stream];
      route.source = streams[move.stream] + b * route.source_stride + move.target;
      route.from = move.target_shift;
      route.target = blocks + b * layout.block_bytes + move.source;
      route.target_stride = layout.block_bytes;
      route.target_step = move.source_step;
      route.to = move.source_shift;
      move.spread ? MergeSpread(route) : Follow(route);
    }
  }
}

}  // namespace flyweight
