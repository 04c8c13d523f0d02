#include <array>
#include <cstring>

#include "codec/block_fields_codec.h"
#include "codec/block_fields_wire.h"
#include "codec/scratch.h"
#include "transform/block_fields/block_fields.h"

namespace flyweight {
namespace {

// The first bytes of a payload.
struct Front {
  bool centred = false;
  bool maxima = false;
  std::array<int32_t, kMaxUnitClasses - 1> threshold_values{};
  size_t threshold_count = 0;

  std::span<const int32_t> thresholds() const { return std::span(threshold_values).first(threshold_count); }
};

Result<Front> ReadFront(const BlockLayout& layout, ReadCursor& cursor) {
  FLYWEIGHT_ASSIGN(uint8_t flags, cursor.Read<uint8_t>());
  unsigned allowed = (layout.centre.bits != 0 ? kBlocksCentred : 0U) | (layout.range.steps != 0 ? kBlocksMaxima : 0U) |
                     (layout.unit.unit_bytes != 0 ? kBlocksClasses : 0U);
  if ((flags & ~allowed) != 0) return Error{ErrorCode::kUnsupportedFeature, 0, "block fields: unknown flags"};
  Front front;
  front.centred = (flags & kBlocksCentred) != 0;
  front.maxima = (flags & kBlocksMaxima) != 0;
  if ((flags & kBlocksClasses) == 0) return front;
  FLYWEIGHT_ASSIGN(uint8_t class_count, cursor.Read<uint8_t>());
  if (class_count < 2 || class_count > kMaxUnitClasses)
    return Error{ErrorCode::kCorrupt, 1, "block fields: " + std::to_string(class_count) + " classes"};
  front.threshold_count = class_count - 1U;
  for (size_t t = 0; t < front.threshold_count; ++t) {
    FLYWEIGHT_ASSIGN(uint32_t threshold, cursor.Read<uint32_t>());
    front.threshold_values[t] = static_cast<int32_t>(threshold);
    if (t > 0 && front.threshold_values[t] < front.threshold_values[t - 1])
      return Error{ErrorCode::kCorrupt, cursor.offset(), "block fields: thresholds do not ascend"};
  }
  return front;
}

// Decodes a plane into `memory`, or leaves it where it is stored if it may stay there.
Result<const std::byte*> TakePlane(ReadCursor& cursor, size_t byte_count, bool may_stay, std::byte* memory,
                                   PlaneScratch& scratch) {
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, byte_count));
  if (may_stay && coded.method == PlaneMethod::kStored) return coded.stored.data();
  FLYWEIGHT_TRY(DecodePlane(coded, {memory, byte_count}, scratch));
  return static_cast<const std::byte*>(memory);
}

// The quants from a plane for each class.
Status TakeClasses(const BlockStreams& streams, std::span<const int32_t> thresholds, ReadCursor& cursor,
                   CodecScratch::Impl& scratch) {
  const size_t unit_bytes = streams.layout.unit.unit_bytes;
  scratch.symbols.Resize(streams.unit_count() * sizeof(int32_t));
  std::span<int32_t> ratings(scratch.symbols.as<int32_t>(), streams.unit_count());
  if (!ratings.empty()) streams.RateUnits(ratings.data());
  std::array<size_t, kMaxUnitClasses> class_bytes{};
  for (int32_t rating : ratings) class_bytes[ClassOf(rating, thresholds)] += unit_bytes;
  scratch.heads.Resize(streams.bytes(streams.quants()));
  std::byte* memory = scratch.heads.data();
  const std::byte* sources[kMaxUnitClasses] = {};
  for (size_t c = 0; c <= thresholds.size(); ++c) {
    FLYWEIGHT_ASSIGN(sources[c], TakePlane(cursor, class_bytes[c], true, memory, scratch.planes));
    memory += class_bytes[c];
  }
  UnsortUnits(sources, unit_bytes, ratings, thresholds, streams.at[streams.quants()]);
  return {};
}

}  // namespace

Status DecodeBlockFieldsChunk(const BlockLayout& layout, uint64_t chunk_offset, ByteSpan payload, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch) {
  const BlockGeometry geometry = GeometryOf(layout, chunk_offset, chunk.size());
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(Front front, ReadFront(layout, cursor));
  FLYWEIGHT_ASSIGN(ByteSpan head, cursor.Take(geometry.head_bytes));
  FLYWEIGHT_ASSIGN(ByteSpan tail, cursor.Take(geometry.tail_bytes));

  scratch.low.Resize(layout.total_stream_bytes * geometry.block_count);
  BlockStreams streams(layout, geometry.block_count, scratch.low.data());
  std::array<const std::byte*, kMaxBlockStreams> fields{};
  // Scales are looked at by what follows, from the streams' own memory; they are few.
  for (size_t s = 0; s < streams.quants(); ++s) {
    FLYWEIGHT_ASSIGN(fields[s], TakePlane(cursor, streams.bytes(s), false, streams.at[s], scratch.planes));
  }
  if (front.maxima) MaximaToScales(layout, geometry.block_count, streams.scale_bytes());
  const size_t quants = streams.quants();
  fields[quants] = streams.at[quants];
  if (front.threshold_count > 0) {
    FLYWEIGHT_TRY(TakeClasses(streams, front.thresholds(), cursor, scratch));
  } else {
    FLYWEIGHT_ASSIGN(fields[quants],
                     TakePlane(cursor, streams.bytes(quants), !front.centred, streams.at[quants], scratch.planes));
  }
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "block fields: bytes are left over"};
  if (front.centred) RestoreQuants(layout, streams.scales(), geometry.block_count, streams.at[quants]);

  if (!head.empty()) std::memcpy(chunk.data(), head.data(), head.size());
  MergeBlocks(layout, fields.data(), geometry.block_count, chunk.data() + geometry.head_bytes);
  if (!tail.empty()) std::memcpy(chunk.data() + chunk.size() - tail.size(), tail.data(), tail.size());
  return {};
}

}  // namespace flyweight
