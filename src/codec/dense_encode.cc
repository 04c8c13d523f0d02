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

using Word32 = uint32_t;

// One chunk on its way through the encoder. Arrays lie in scratch; `tables` and `symbols` have one entry a coded word.
struct Encoding {
  const DenseSide& side;
  uint64_t first_word;
  const std::byte* words;
  const std::byte* predicted;
  size_t word_bytes;
  CodecScratch::Impl& scratch;
  std::span<const uint8_t> rows;
  size_t coded_count = 0;

  uint8_t* tables = nullptr;
  uint8_t* symbols = nullptr;
  uint8_t* plane_bytes = nullptr;
  uint8_t* low_bytes = nullptr;
  DeltaBitWriter planes{};
  DeltaBitWriter low{};
};

void Allocate(Encoding& e) {
  const size_t n = e.coded_count + kDenseSlack;
  e.scratch.patch.Resize(3 * n + n + DeltaLowBound(n) + 4 * kDenseSlack);
  auto* at = e.scratch.patch.as<uint8_t>();
  e.tables = at;
  e.symbols = e.tables + n;
  e.plane_bytes = e.symbols + n;
  e.low_bytes = e.plane_bytes + DeltaPlaneBound(n) + kDenseSlack;
  e.planes.bytes = e.plane_bytes;
  e.low.bytes = e.low_bytes;
  e.scratch.escaped.clear();
}

// What a block's words and predictions are read from: where they lie, or gathered where runs are no whole groups.
class BlockWords {
 public:
  template <typename Use>
  void Each(const Encoding& e, const DenseBlocks& blocks, const Use& use) {
    if (blocks.aligned()) {
      size_t at = 0;
      for (const DenseRun& run : blocks.runs()) {
        const size_t begin = run.begin * e.word_bytes;
        use(e.predicted + begin, e.words + begin, at, run.count);
        at += run.count;
      }
      return;
    }
    size_t at = 0;
    for (const DenseRun& run : blocks.runs()) {
      std::memcpy(predicted_ + at, e.predicted + run.begin * e.word_bytes, run.count * e.word_bytes);
      std::memcpy(words_ + at, e.words + run.begin * e.word_bytes, run.count * e.word_bytes);
      at += run.count * e.word_bytes;
    }
    use(predicted_, words_, 0, blocks.word_count());
  }

 private:
  std::byte predicted_[DenseBlocks::kWords * sizeof(Word32)];
  std::byte words_[DenseBlocks::kWords * sizeof(Word32)];
};

void SplitBlocks(Encoding& e, const std::vector<DenseRun>& runs) {
  const bool has_widths = HasDeltaWidths(e.side.layout);
  alignas(64) uint8_t activities[DenseBlocks::kWords + kDenseSlack], widths[DenseBlocks::kWords + kDenseSlack];
  uint32_t escapes[DenseBlocks::kWords];
  BlockWords words;
  size_t done = 0;
  for (DenseBlocks blocks(runs); blocks.Next(); done += blocks.word_count()) {
    ExpandBlock(e.side, e.first_word, e.rows, blocks, activities);
    auto split = [&](const std::byte* predicted, const std::byte* chunk, size_t at, size_t count) {
      DeltaContextsArgs contexts{predicted,
                                 activities + at,
                                 count,
                                 e.side.exponent_origin,
                                 e.side.tables.table_of_context.data(),
                                 e.tables + done + at,
                                 has_widths ? widths + at : nullptr};
      DeltaContexts(e.side.layout, contexts);
      SplitDeltaArgs args{predicted,
                          chunk,
                          has_widths ? widths + at : nullptr,
                          count,
                          e.symbols + done + at,
                          &e.planes,
                          has_widths ? &e.low : nullptr,
                          escapes,
                          0};
      SplitDelta(e.side.layout, args);
      for (size_t i = 0; i < args.escape_count; ++i)
        PushEscape(chunk, predicted, e.word_bytes, escapes[i], e.scratch.escaped);
    };
    words.Each(e, blocks, split);
  }
}

// Escaped words as planes; empty where there are none.
ByteSpan EncodeEscapes(Encoding& e) {
  std::vector<std::byte>& escaped = e.scratch.escaped;
  if (escaped.empty()) return {};
  const size_t room = escaped.size() + kEscapeOverheadBytes;
  e.scratch.patched.Resize(room);
  const size_t written = EncodePlanesChunk(escaped, e.word_bytes, true, {e.scratch.patched.data(), room}, e.scratch);
  return {e.scratch.patched.data(), written};
}

}  // namespace

size_t EncodeDenseChunk(const DenseSide& side, uint64_t first_word, ByteSpan chunk, const std::byte* predicted,
                        MutableByteSpan payload, CodecScratch::Impl& scratch) {
  const size_t word_bytes = Describe(side.layout).word_bytes;
  const size_t word_count = chunk.size() / word_bytes;
  Encoding e{
      side,
      first_word,
      chunk.data(),
      predicted,
      word_bytes,
      scratch,
      std::span(side.rows).subspan(first_word / side.column_count, DenseRowsTouched(side, first_word, word_count))};
  e.coded_count = ListDenseRuns(side, first_word, word_count, e.rows, scratch.dense_runs);
  Allocate(e);
  SplitBlocks(e, scratch.dense_runs);
  const auto plane_bytes = static_cast<size_t>(FinishDeltaBits(e.planes) - e.plane_bytes);
  const auto low_bytes = static_cast<size_t>(FinishDeltaBits(e.low) - e.low_bytes);
  const ByteSpan escapes = EncodeEscapes(e);
  const size_t carried = std::min(NibbleLanes(e.coded_count), escapes.size());

  uint8_t* pairs = e.tables;
  kPairNibbles.Pick()(e.tables, e.symbols, e.coded_count, pairs);
  scratch.streams.Resize(NibbleStreamBound(e.coded_count));
  const MutableByteSpan stream_room(scratch.streams.data(), NibbleStreamBound(e.coded_count));
  const size_t stream_bytes = EncodeNibbles(*side.coder, {pairs, e.coded_count}, escapes.first(carried), stream_room);

  ByteWriter front;
  front.Write(static_cast<uint32_t>(stream_bytes));
  front.Write(static_cast<uint32_t>(plane_bytes));
  front.Write(static_cast<uint32_t>(low_bytes));
  front.Write(static_cast<uint32_t>(escapes.size()));
  WriteActivities(e.rows, front);
  const size_t size = front.size() + stream_bytes + plane_bytes + low_bytes + escapes.size() - carried;
  if (stream_bytes == 0 || size > payload.size()) return 0;
  std::byte* out = payload.data();
  auto append = [&](const void* bytes, size_t count) {
    if (count != 0) std::memcpy(out, bytes, count);
    out += count;
  };
  append(front.bytes().data(), front.size());
  append(stream_room.data(), stream_bytes);
  append(e.plane_bytes, plane_bytes);
  append(e.low_bytes, low_bytes);
  append(escapes.data() + carried, escapes.size() - carried);
  return size;
}

}  // namespace flyweight
