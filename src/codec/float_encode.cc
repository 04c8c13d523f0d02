#include <algorithm>
#include <cstring>
#include <optional>

#include "codec/float_codec.h"
#include "codec/patches.h"
#include "codec/scratch.h"
#include "codec/shift_vector.h"
#include "transform/recentre/recentre.h"

namespace flyweight {
namespace {

constexpr uint8_t kOwnTable = 1;
constexpr size_t kFixedBytes = 16;
constexpr size_t kCountedIterations = 8;
// A chunk gets a table of its own where that saves this part of its head bits.
constexpr double kOwnTableGain = 0.998;

// One chunk on its way through the encoder.
struct Encoding {
  const FloatSide& side;
  CodecScratch::Impl& scratch;
  size_t word_count;
  size_t iterations;
  const std::byte* heads;
  ShiftField shifts;

  HeadKind kind() const { return side.head_kind(); }
  size_t coded_words() const { return iterations * kHeadIteration; }
  size_t head_bytes() const { return HeadBytes(kind()); }
  const std::byte* HeadsAt(size_t iteration) const { return heads + iteration * kHeadIteration * head_bytes(); }

  // Shifts of some iterations, in memory that the next call reuses; null where there are none.
  const uint8_t* ShiftsOf(size_t iteration, size_t count) const {
    if (shifts.empty()) return nullptr;
    shifts.Expand(iteration * kHeadIteration, count * kHeadIteration, scratch.shifts.as<uint8_t>());
    return scratch.shifts.as<uint8_t>();
  }
};

void MeasureRows(uint64_t first_word, Encoding& e) {
  const uint64_t columns = e.side.column_count;
  e.scratch.row_shifts.clear();
  uint64_t column = first_word % columns;
  for (uint64_t word = 0; word < e.word_count;) {
    uint64_t run = std::min(columns - column, e.word_count - word);
    float mean = MeanMagnitude(e.heads + word * e.head_bytes(), e.head_bytes(), run);
    e.scratch.row_shifts.push_back(ShiftOf(mean, e.side.row_reference));
    word += run;
    column = 0;
  }
}

void PrepareShifts(uint64_t first_word, Encoding& e) {
  if (!e.side.shifted()) return;
  e.scratch.shifts.Resize(kHeadBatch * kHeadIteration);
  if (e.side.by_rows) MeasureRows(first_word, e);
  e.shifts = {e.side.by_rows ? e.scratch.row_shifts.data() : nullptr,
              e.side.by_columns ? e.side.column_shifts.data() : nullptr, e.side.column_count, first_word};
}

HeadHistogram CountSome(const Encoding& e, size_t counted_iterations) {
  uint32_t tables[kCountTables][512] = {};
  size_t stride = std::max<size_t>(1, e.iterations / counted_iterations);
  for (size_t i = 0; i < e.iterations; i += stride)
    CountHeads(e.kind(), {e.HeadsAt(i), e.ShiftsOf(i, 1), 1, tables[0]});
  HeadHistogram counts{};
  for (const auto& table : tables) {
    for (size_t s = 0; s < counts.size(); ++s) counts[s] += table[s];
  }
  return counts;
}

// A table of the chunk's own, where the record's does not fit it.
std::optional<HeadTable> OwnTable(const Encoding& e) {
  HeadHistogram counts = CountSome(e, kCountedIterations);
  uint64_t counted = 0;
  for (uint32_t count : counts) counted += count;
  double scale = static_cast<double>(e.coded_words()) / static_cast<double>(counted);
  double shared_bits = EstimateHeadBits(e.side.table, counts) * scale;
  // The sample flatters a table made from it, by about half a bit a symbol it has.
  double own_extra_bits = 32 * scale + 8.0 * 64;
  if (HeadEntropyBits(counts) * scale + own_extra_bits >= shared_bits * kOwnTableGain) return std::nullopt;
  HeadHistogram more = CountSome(e, 4 * kCountedIterations);
  HeadTable own = BuildHeadTable(more);
  if (EstimateHeadBits(own, counts) * scale + own_extra_bits >= shared_bits * kOwnTableGain) return std::nullopt;
  return own;
}

struct Streams {
  const uint8_t* begin[kHeadStreams];
  size_t bytes[kHeadStreams];
  HeadStates states;
  size_t patched_count = 0;
};

void CarryRest(const uint8_t* rest_end, HeadStates& states) {
  const uint8_t* carried = rest_end - kCarriedBytes;
  for (size_t s = 0; s < kHeadStreams; ++s) {
    std::memcpy(states.low[s], carried + s * kHeadBlock, kHeadBlock);
    std::memset(states.high[s], 1, kHeadBlock);
  }
}

// rANS encodes backwards, so the chunk goes through in batches from the last to the first; a batch's symbols never
// leave the first-level cache. `rest` has room for the whole rest plane, carried bytes included.
Streams EncodeHeads(const Encoding& e, const HeadCoder& coder, uint8_t* rest) {
  CodecScratch::Impl& scratch = e.scratch;
  const size_t rest_per_iteration = RestBytesPerIteration(e.kind());
  const size_t room = e.coded_words() / kHeadStreams + kStreamWriteAhead;
  scratch.symbols.Resize(kHeadBatch * kHeadIteration);
  scratch.patched.Resize(e.coded_words() * sizeof(uint32_t));
  scratch.streams.Resize(kHeadStreams * room);

  Streams streams;
  uint8_t* ends[kHeadStreams];
  EncodeSymbolsArgs encode{&coder, &streams.states, scratch.symbols.as<uint8_t>(), {}, 0};
  for (size_t s = 0; s < kHeadStreams; ++s)
    encode.streams[s] = ends[s] = scratch.streams.as<uint8_t>() + (s + 1) * room;
  SplitHeadsFunction split_heads = kSplitHeads[static_cast<size_t>(e.kind())].Pick();
  EncodeSymbolsFunction encode_symbols = kEncodeSymbols.Pick();
  for (size_t end = e.iterations; end > 0;) {
    size_t begin = (end - 1) / kHeadBatch * kHeadBatch;
    encode.iterations = end - begin;
    SplitHeadsArgs split{&coder,
                         e.HeadsAt(begin),
                         e.ShiftsOf(begin, end - begin),
                         scratch.symbols.as<uint8_t>(),
                         rest + begin * rest_per_iteration,
                         scratch.patched.as<uint32_t>() + streams.patched_count,
                         static_cast<uint32_t>(begin * kHeadIteration),
                         0,
                         end - begin};
    split_heads(split);
    streams.patched_count += split.patched_count;
    if (end == e.iterations) CarryRest(rest + end * rest_per_iteration, streams.states);
    encode_symbols(encode);
    end = begin;
  }
  for (size_t s = 0; s < kHeadStreams; ++s) {
    streams.begin[s] = encode.streams[s];
    streams.bytes[s] = static_cast<size_t>(ends[s] - encode.streams[s]);
  }
  return streams;
}

// Appends to a fixed buffer; once something did not fit, nothing more is written.
class Appender {
 public:
  explicit Appender(MutableByteSpan target) : target_(target) {}
  void Append(const void* bytes, size_t count) {
    if (count > target_.size() - size_) full_ = true;
    if (full_ || count == 0) return;
    std::memcpy(target_.data() + size_, bytes, count);
    size_ += count;
  }
  void Put(uint32_t value) { Append(&value, sizeof value); }
  MutableByteSpan room() const { return target_.subspan(size_); }
  void Advance(size_t count) { size_ += count; }
  void Fail() { full_ = true; }
  bool full() const { return full_; }
  size_t size() const { return size_; }

 private:
  MutableByteSpan target_;
  size_t size_ = 0;
  bool full_ = false;
};

void AppendLowPlanes(const Encoding& e, size_t low_stride, Appender& out) {
  for (size_t p = 0; p < Describe(e.side.layout).low_plane_count && !out.full(); ++p) {
    if (out.room().size() < kPlaneHeaderBytes + e.word_count) return out.Fail();
    out.Advance(EncodePlane({e.scratch.low.data() + p * low_stride, e.word_count}, out.room(), e.scratch.planes));
  }
}

}  // namespace

size_t EncodeFloatChunk(const FloatSide& side, Level level, uint64_t first_word, ByteSpan chunk,
                        MutableByteSpan payload, CodecScratch::Impl& scratch) {
  const FloatLayoutInfo& info = Describe(side.layout);
  size_t word_count = chunk.size() / info.word_bytes;
  Encoding e{side, scratch, word_count, word_count / kHeadIteration, chunk.data(), {}};
  if (info.low_plane_count != 0) {
    scratch.heads.Resize(word_count * info.head_bytes);
    scratch.low.Resize(word_count * info.low_plane_count);
    SplitFloats(side.layout, chunk.data(), word_count, scratch.heads.data(), scratch.low.data(), word_count);
    e.heads = scratch.heads.data();
  }
  PrepareShifts(first_word, e);
  std::optional<HeadTable> own;
  if (level != Level::kFast) own = OwnTable(e);
  std::optional<HeadCoder> own_coder;
  if (own) own_coder.emplace(*own);
  const HeadCoder& coder = own ? *own_coder : *side.coder;
  const HeadTable& table = own ? *own : side.table;

  ByteWriter front;
  if (own) WriteHeadTable(*own, front);
  if (side.by_rows) WriteShiftVector(scratch.row_shifts, scratch.planes.zstd, front);

  // The rest plane is written where it belongs; everything in front of it has a size that is known by now.
  const size_t rest_offset = kFixedBytes + front.size() + sizeof(HeadStates);
  const size_t rest_bytes = e.iterations * RestBytesPerIteration(e.kind());
  if (rest_offset + rest_bytes > payload.size()) return 0;
  Streams streams = EncodeHeads(e, coder, reinterpret_cast<uint8_t*>(payload.data() + rest_offset));
  ByteWriter patches;
  WritePatches({scratch.patched.as<uint32_t>(), streams.patched_count}, e.kind(), e.heads, e.shifts, table, patches);

  Appender out(payload);
  out.Put(uint32_t{own ? kOwnTable : uint8_t{0}});
  out.Put(static_cast<uint32_t>(patches.size()));
  for (size_t bytes : streams.bytes) out.Put(static_cast<uint32_t>(bytes));
  out.Append(front.bytes().data(), front.size());
  for (size_t s = 0; s < kHeadStreams; ++s) {
    out.Append(streams.states.low[s], kHeadBlock);
    out.Append(streams.states.high[s], kHeadBlock);
  }
  out.Advance(rest_bytes - kCarriedBytes);
  for (size_t s = 0; s < kHeadStreams; ++s) out.Append(streams.begin[s], streams.bytes[s]);
  out.Append(patches.bytes().data(), patches.size());
  out.Append(e.heads + e.coded_words() * info.head_bytes, (word_count - e.coded_words()) * info.head_bytes);
  AppendLowPlanes(e, word_count, out);
  return out.full() ? 0 : out.size();
}

}  // namespace flyweight
