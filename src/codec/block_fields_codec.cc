#include "codec/block_fields_codec.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/scratch.h"
#include "entropy/histogram.h"
#include "transform/block_fields/block_fields.h"
#include "transform/block_fields/centre.h"

namespace flyweight {
namespace {

constexpr uint8_t kCentred = 1;
constexpr size_t kSampleBytes = size_t{1} << 16;

// A chunk is whole blocks between what is left of a block at its start and at its end.
struct Geometry {
  size_t head_bytes = 0;
  size_t block_count = 0;
  size_t tail_bytes = 0;
};

Geometry GeometryOf(const BlockLayout& layout, uint64_t chunk_offset, size_t chunk_bytes) {
  auto phase = static_cast<size_t>(chunk_offset % layout.block_bytes);
  size_t head_bytes = std::min(phase == 0 ? 0 : layout.block_bytes - phase, chunk_bytes);
  size_t rest = chunk_bytes - head_bytes;
  return {head_bytes, rest / layout.block_bytes, rest % layout.block_bytes};
}

ScaleStreams ScalesOf(const BlockLayout& layout, const std::byte* const* streams) {
  ScaleStreams scales{};
  for (size_t s = 0; s < std::min(scales.size(), layout.stream_bytes.size() - 1); ++s) scales[s] = streams[s];
  return scales;
}

// Whether quants counted from zero have less entropy; if so they take the place of those in the last stream.
bool CentreIfSmaller(const BlockLayout& layout, std::byte* const* streams, size_t block_count, AlignedBuffer& trial) {
  if (layout.centre.bits == 0) return false;
  std::byte* quants = streams[layout.stream_bytes.size() - 1];
  size_t quant_bytes = layout.stream_bytes.back() * block_count;
  trial.Resize(quant_bytes);
  std::memcpy(trial.data(), quants, quant_bytes);
  CentreQuants(layout, ScalesOf(layout, streams), block_count, trial.data());
  double before = EntropyBitsPerSymbol(SampleBytes({quants, quant_bytes}, kSampleBytes));
  double after = EntropyBitsPerSymbol(SampleBytes({trial.data(), quant_bytes}, kSampleBytes));
  if (after >= before) return false;
  std::memcpy(quants, trial.data(), quant_bytes);
  return true;
}

}  // namespace

size_t EncodeBlockFieldsChunk(const BlockLayout& layout, uint64_t chunk_offset, ByteSpan chunk, MutableByteSpan payload,
                              CodecScratch::Impl& scratch) {
  const Geometry geometry = GeometryOf(layout, chunk_offset, chunk.size());
  const size_t stream_count = layout.stream_bytes.size();
  if (geometry.block_count == 0) return 0;
  scratch.low.Resize(layout.total_stream_bytes * geometry.block_count);
  SplitBlocks(layout, chunk.data() + geometry.head_bytes, geometry.block_count, scratch.low.data());
  std::byte* streams[kMaxBlockStreams];
  std::byte* next = scratch.low.data();
  for (size_t s = 0; s < stream_count; ++s) {
    streams[s] = next;
    next += layout.stream_bytes[s] * geometry.block_count;
  }
  bool centred = CentreIfSmaller(layout, streams, geometry.block_count, scratch.heads);

  // Planes are coded into memory with room for all of them stored, so that only the sum decides.
  size_t bound = 1 + geometry.head_bytes + geometry.tail_bytes + stream_count * kPlaneHeaderBytes +
                 layout.total_stream_bytes * geometry.block_count;
  scratch.streams.Resize(bound);
  MutableByteSpan out(scratch.streams.data(), bound);
  out[0] = static_cast<std::byte>(centred ? kCentred : 0);
  std::memcpy(out.data() + 1, chunk.data(), geometry.head_bytes);
  std::memcpy(out.data() + 1 + geometry.head_bytes, chunk.data() + chunk.size() - geometry.tail_bytes,
              geometry.tail_bytes);
  size_t size = 1 + geometry.head_bytes + geometry.tail_bytes;
  for (size_t s = 0; s < stream_count; ++s) {
    size += EncodePlane({streams[s], layout.stream_bytes[s] * geometry.block_count}, out.subspan(size), scratch.planes);
  }
  if (size > payload.size()) return 0;
  std::memcpy(payload.data(), out.data(), size);
  return size;
}

bool BlocksRepeat(const BlockLayout& layout, ByteSpan chunk) {
  constexpr size_t kSlots = size_t{1} << 12;
  std::array<uint64_t, kSlots> last{};
  const size_t block_count = chunk.size() / layout.block_bytes;
  const size_t word_at = (layout.block_bytes - sizeof(uint64_t)) / 2;
  size_t repeats = 0;
  for (size_t b = 0; b < block_count; ++b) {
    auto word = LoadLe<uint64_t>(chunk.data() + b * layout.block_bytes + word_at);
    uint64_t& slot = last[(word * 0x9E3779B97F4A7C15) >> 52];
    repeats += slot == word;
    slot = word;
  }
  return repeats * 16 > block_count;
}

Status DecodeBlockFieldsChunk(const BlockLayout& layout, uint64_t chunk_offset, ByteSpan payload, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch) {
  const Geometry geometry = GeometryOf(layout, chunk_offset, chunk.size());
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint8_t flags, cursor.Read<uint8_t>());
  if (flags > kCentred || (flags == kCentred && layout.centre.bits == 0))
    return Error{ErrorCode::kUnsupportedFeature, 0, "block fields: unknown flags"};
  FLYWEIGHT_ASSIGN(ByteSpan head, cursor.Take(geometry.head_bytes));
  FLYWEIGHT_ASSIGN(ByteSpan tail, cursor.Take(geometry.tail_bytes));

  const size_t stream_count = layout.stream_bytes.size();
  const std::byte* streams[kMaxBlockStreams];
  scratch.low.Resize(layout.total_stream_bytes * geometry.block_count);
  std::byte* memory = scratch.low.data();
  for (size_t s = 0; s < stream_count; ++s) {
    size_t stream_bytes = layout.stream_bytes[s] * geometry.block_count;
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, stream_bytes));
    bool changes = flags == kCentred && s + 1 == stream_count;
    streams[s] = coded.stored.data();
    if (coded.method != PlaneMethod::kStored || changes) {
      FLYWEIGHT_TRY(DecodePlane(coded, {memory, stream_bytes}, scratch.planes));
      streams[s] = memory;
    }
    if (changes) RestoreQuants(layout, ScalesOf(layout, streams), geometry.block_count, memory);
    memory += stream_bytes;
  }
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "block fields: bytes are left over"};

  if (!head.empty()) std::memcpy(chunk.data(), head.data(), head.size());
  MergeBlocks(layout, streams, geometry.block_count, chunk.data() + geometry.head_bytes);
  if (!tail.empty()) std::memcpy(chunk.data() + chunk.size() - tail.size(), tail.data(), tail.size());
  return {};
}

}  // namespace flyweight
