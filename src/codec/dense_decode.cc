#include <algorithm>
#include <cstring>

#include "codec/activity_numbers.h"
#include "codec/dense_codec.h"
#include "codec/dense_runs.h"
#include "codec/dense_wire.h"
#include "codec/planes_codec.h"
#include "codec/scratch.h"
#include "transform/delta_fields/delta_fields.h"

namespace flyweight {
namespace {

// A payload taken apart and what decoding it needs.
struct Decoding {
  const DenseSide& side;
  uint64_t first_word;
  const std::byte* predicted;
  std::byte* words;
  size_t word_bytes;
  CodecScratch::Impl& scratch;
  size_t coded_count = 0;
  ByteSpan stream{};
  size_t escape_bytes = 0;
  ByteSpan escape_rest{};
  DeltaBitReader planes{};
  DeltaBitReader low{};

  std::span<const uint8_t> rows() const { return scratch.activities; }
  size_t carried_bytes() const { return std::min(NibbleLanes(coded_count), escape_bytes); }
};

DeltaBitReader Bits(ByteSpan bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), 0, uint64_t{bytes.size()} * 8};
}

Status ReadFront(ByteSpan payload, size_t word_count, Decoding& d) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint32_t stream_bytes, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t plane_bytes, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t low_bytes, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t escape_bytes, cursor.Read<uint32_t>());
  d.scratch.activities.resize(DenseRowsTouched(d.side, d.first_word, word_count));
  FLYWEIGHT_TRY(ReadActivities(cursor, d.scratch.activities));
  d.coded_count = ListDenseRuns(d.side, d.first_word, word_count, d.rows(), d.scratch.dense_runs);
  if (escape_bytes > word_count * d.word_bytes + kEscapeOverheadBytes)
    return Error{ErrorCode::kCorrupt, 12, "dense chunk: more escapes than words"};
  d.escape_bytes = escape_bytes;
  FLYWEIGHT_ASSIGN(d.stream, cursor.Take(stream_bytes));
  FLYWEIGHT_ASSIGN(ByteSpan planes, cursor.Take(plane_bytes));
  FLYWEIGHT_ASSIGN(ByteSpan low, cursor.Take(low_bytes));
  d.planes = Bits(planes);
  d.low = Bits(low);
  FLYWEIGHT_ASSIGN(d.escape_rest, cursor.Take(escape_bytes - d.carried_bytes()));
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "dense chunk: bytes are left over"};
  return {};
}

// What stands between the runs is as predicted.
void CopyGaps(const Decoding& d, size_t word_count) {
  if (d.predicted == d.words) return;
  size_t at = 0;
  auto copy_to = [&](size_t end) {
    if (end > at) std::memcpy(d.words + at * d.word_bytes, d.predicted + at * d.word_bytes, (end - at) * d.word_bytes);
  };
  for (const DenseRun& run : d.scratch.dense_runs) {
    copy_to(run.begin);
    at = run.begin + run.count;
  }
  copy_to(word_count);
}

// The fields of a block: they stay in the first-level cache.
struct Block {
  static constexpr size_t kRoom = DenseBlocks::kWords + kDenseSlack;
  alignas(64) uint8_t activities[kRoom];
  alignas(64) uint8_t tables[kRoom];
  alignas(64) uint8_t widths[kRoom];
  alignas(64) uint8_t symbols[kRoom];
  uint32_t escapes[DenseBlocks::kWords];
  // Words of runs that are no whole groups.
  std::byte gathered[DenseBlocks::kWords * sizeof(uint32_t)];
};

void ExpandTables(const Decoding& d, const DenseBlocks& blocks, Block& block) {
  ExpandBlock(d.side, d.first_word, d.rows(), blocks, block.activities);
  size_t at = 0;
  for (const DenseRun& run : blocks.runs()) {
    DeltaContexts(d.side.layout, {d.predicted + run.begin * d.word_bytes, block.activities + at, run.count,
                                  d.side.exponent_origin, d.side.tables.table_of_context.data(), block.tables + at,
                                  HasDeltaWidths(d.side.layout) ? block.widths + at : nullptr});
    at += run.count;
  }
}

// Joins the block's words from `at` on with `base` into `words`; escapes are listed as words of the chunk by
// `place(number)`.
template <typename Place>
void Join(Decoding& d, Block& block, size_t at, size_t count, const std::byte* base, std::byte* words,
          const Place& place) {
  const bool has_widths = HasDeltaWidths(d.side.layout);
  JoinDeltaArgs args{base,  block.symbols + at, has_widths ? block.widths + at : nullptr,
                     count, &d.planes,          has_widths ? &d.low : nullptr,
                     words, block.escapes,      0};
  JoinDelta(d.side.layout, args);
  for (size_t i = 0; i < args.escape_count; ++i) d.scratch.patched_elements.push_back(place(block.escapes[i]));
}

void JoinInPlace(Decoding& d, const DenseBlocks& blocks, Block& block) {
  size_t at = 0;
  for (const DenseRun& run : blocks.runs()) {
    const size_t begin = run.begin * d.word_bytes;
    Join(d, block, at, run.count, d.predicted + begin, d.words + begin,
         [&](uint32_t number) { return run.begin + number; });
    at += run.count;
  }
}

void JoinGathered(Decoding& d, const DenseBlocks& blocks, Block& block) {
  size_t at = 0;
  for (const DenseRun& run : blocks.runs()) {
    std::memcpy(block.gathered + at, d.predicted + run.begin * d.word_bytes, run.count * d.word_bytes);
    at += run.count * d.word_bytes;
  }
  auto place = [&](uint32_t number) {
    for (const DenseRun& run : blocks.runs()) {
      if (number < run.count) return run.begin + number;
      number -= run.count;
    }
    return uint32_t{0};
  };
  Join(d, block, 0, blocks.word_count(), block.gathered, block.gathered, place);
  at = 0;
  for (const DenseRun& run : blocks.runs()) {
    std::memcpy(d.words + run.begin * d.word_bytes, block.gathered + at, run.count * d.word_bytes);
    at += run.count * d.word_bytes;
  }
}

Status DecodeBlocks(Decoding& d, MutableByteSpan carried) {
  NibbleDecoder decoder;
  FLYWEIGHT_TRY(decoder.Begin(*d.side.coder, d.stream, d.coded_count));
  d.scratch.patched_elements.clear();
  Block block;
  const size_t row_bytes = kNibbleLanes * d.word_bytes;
  for (DenseBlocks blocks(d.scratch.dense_runs); blocks.Next();) {
    ExpandTables(d, blocks, block);
    const DenseRun& last = blocks.runs().back();
    decoder.Next(block.tables, block.symbols, blocks.word_count(),
                 d.predicted + (last.begin + last.count) * d.word_bytes, row_bytes);
    if (blocks.aligned()) {
      JoinInPlace(d, blocks, block);
    } else {
      JoinGathered(d, blocks, block);
    }
  }
  if (!DeltaBitsUsedUp(d.planes) || !DeltaBitsUsedUp(d.low))
    return Error{ErrorCode::kCorrupt, 0, "dense chunk: its bits do not end as they must"};
  return decoder.End(carried);
}

// Escaped words were left as predicted, whose signs they still have.
Status PutEscapes(ByteSpan coded, Decoding& d) {
  const std::vector<uint32_t>& places = d.scratch.patched_elements;
  if (places.empty()) {
    if (coded.empty()) return {};
    return Error{ErrorCode::kCorrupt, 0, "dense chunk: escapes are left over"};
  }
  std::vector<std::byte>& escaped = d.scratch.escaped;
  escaped.resize(places.size() * d.word_bytes);
  FLYWEIGHT_TRY(DecodePlanesChunk(coded, d.word_bytes, escaped, d.scratch));
  for (size_t i = 0; i < places.size(); ++i) {
    std::byte* word = d.words + places[i] * d.word_bytes;
    FlipSign(word, d.word_bytes, escaped.data() + i * d.word_bytes);
    std::memcpy(word, escaped.data() + i * d.word_bytes, d.word_bytes);
  }
  return {};
}

}  // namespace

Status DecodeDenseChunk(const DenseSide& side, uint64_t first_word, ByteSpan payload, const std::byte* predicted,
                        MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  const size_t word_bytes = Describe(side.layout).word_bytes;
  const size_t word_count = chunk.size() / word_bytes;
  Decoding d{side, first_word, predicted, chunk.data(), word_bytes, scratch};
  FLYWEIGHT_TRY(ReadFront(payload, word_count, d));
  CopyGaps(d, word_count);
  AlignedBuffer& coded = scratch.patch;
  const size_t carried = d.carried_bytes();
  coded.Resize(d.escape_bytes + kDecodePaddingBytes);
  FLYWEIGHT_TRY(DecodeBlocks(d, {coded.data(), carried}));
  if (!d.escape_rest.empty()) std::memcpy(coded.data() + carried, d.escape_rest.data(), d.escape_rest.size());
  std::memset(coded.data() + d.escape_bytes, 0, kDecodePaddingBytes);
  return PutEscapes({coded.data(), d.escape_bytes}, d);
}

}  // namespace flyweight
