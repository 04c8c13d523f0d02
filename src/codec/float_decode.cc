#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "base/hash.h"
#include "codec/float_codec.h"
#include "codec/patches.h"
#include "codec/scratch.h"
#include "codec/shift_vector.h"
#include "transform/recentre/recentre.h"

namespace flyweight {
namespace {

constexpr uint32_t kOwnTable = 1;
constexpr size_t kMaxLowPlanes = 2;
// Of words decoded at a time: few enough for a CPU to hash one batch while it decodes the next.
constexpr size_t kBatchBytes = 4096;

// A payload taken apart and checked for size, and what decoding it needs.
struct Decoding {
  const FloatSide& side;
  const FloatLayoutInfo& info;
  CodecScratch::Impl& scratch;
  size_t word_count;
  size_t iterations;

  const HeadTable* table = nullptr;
  const HeadCoder* coder = nullptr;
  ShiftField shifts{};
  HeadStates states{};
  ByteSpan streams[kHeadStreams] = {};
  ByteSpan rest{};  ///< without the carried bytes
  ByteSpan patches{};
  ByteSpan tail_heads{};
  const std::byte* low[kMaxLowPlanes] = {};

  size_t coded_words() const { return iterations * kHeadIteration; }
  size_t rest_per_iteration() const { return RestBytesPerIteration(side.head_kind()); }
};

const uint8_t* AsUint8(ByteSpan bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

Status ReadRowShifts(ReadCursor& cursor, uint64_t first_word, Decoding& d) {
  uint64_t rows = RowsTouched(d.side.column_count, first_word, d.word_count);
  d.scratch.row_shifts.resize(rows);
  return ReadShiftVector(cursor, d.scratch.planes.zstd, d.scratch.row_shifts);
}

void PrepareShifts(uint64_t first_word, Decoding& d) {
  if (!d.side.shifted()) return;
  d.scratch.shifts.Resize(kBatchBytes / d.info.word_bytes);
  d.shifts = {d.side.by_rows ? d.scratch.row_shifts.data() : nullptr,
              d.side.by_columns ? d.side.column_shifts.data() : nullptr, d.side.column_count, first_word};
}

Status ReadStates(ReadCursor& cursor, HeadStates& states) {
  for (size_t s = 0; s < kHeadStreams; ++s) {
    FLYWEIGHT_ASSIGN(ByteSpan low, cursor.Take(kHeadBlock));
    FLYWEIGHT_ASSIGN(ByteSpan high, cursor.Take(kHeadBlock));
    std::memcpy(states.low[s], low.data(), kHeadBlock);
    std::memcpy(states.high[s], high.data(), kHeadBlock);
  }
  return {};
}

// Planes that are stored as they are get used where they lie.
Status ReadLowPlanes(ReadCursor& cursor, Decoding& d) {
  d.scratch.low.Resize(d.word_count * d.info.low_plane_count);
  for (size_t p = 0; p < d.info.low_plane_count; ++p) {
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, d.word_count));
    if (coded.method == PlaneMethod::kStored) {
      d.low[p] = coded.stored.data();
      continue;
    }
    std::byte* plane = d.scratch.low.data() + p * d.word_count;
    FLYWEIGHT_TRY(DecodePlane(coded, {plane, d.word_count}, d.scratch.planes));
    d.low[p] = plane;
  }
  return {};
}

Status TakeApart(ByteSpan payload, uint64_t first_word, std::optional<HeadTable>& own,
                 std::optional<HeadCoder>& own_coder, Decoding& d) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint32_t flags, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t patch_bytes, cursor.Read<uint32_t>());
  uint32_t stream_bytes[kHeadStreams];
  for (uint32_t& bytes : stream_bytes) {
    FLYWEIGHT_ASSIGN(bytes, cursor.Read<uint32_t>());
  }
  if (flags > kOwnTable)
    return Error{ErrorCode::kUnsupportedFeature, 0, "float chunk: unknown flags " + std::to_string(flags)};
  if (flags & kOwnTable) {
    FLYWEIGHT_ASSIGN(own, ReadHeadTable(cursor));
    own_coder.emplace(*own);
  }
  d.table = own ? &*own : &d.side.table;
  d.coder = own ? &*own_coder : d.side.coder.get();
  if (d.side.by_rows) FLYWEIGHT_TRY(ReadRowShifts(cursor, first_word, d));
  PrepareShifts(first_word, d);

  if (d.iterations != 0) FLYWEIGHT_TRY(ReadStates(cursor, d.states));
  size_t rest_bytes = d.iterations == 0 ? 0 : d.iterations * d.rest_per_iteration() - kCarriedBytes;
  FLYWEIGHT_ASSIGN(d.rest, cursor.Take(rest_bytes));
  for (size_t s = 0; s < kHeadStreams; ++s) {
    FLYWEIGHT_ASSIGN(d.streams[s], cursor.Take(stream_bytes[s]));
  }
  FLYWEIGHT_ASSIGN(d.patches, cursor.Take(patch_bytes));
  FLYWEIGHT_ASSIGN(d.tail_heads, cursor.Take((d.word_count - d.coded_words()) * d.info.head_bytes));
  FLYWEIGHT_TRY(ReadLowPlanes(cursor, d));
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "float chunk: bytes are left over"};
  return {};
}

// Decodes one batch of iterations into words.
void DecodeBatch(const Decoding& d, DecodeHeadsFunction decode, size_t first, size_t count, DecodeHeadsArgs& args,
                 std::byte* words) {
  const size_t first_word = first * kHeadIteration, word_count = count * kHeadIteration;
  std::byte* target = words + first_word * d.info.word_bytes;
  const bool merge = d.info.low_plane_count != 0;
  args.iterations = count;
  args.heads = merge ? d.scratch.heads.data() : target;
  if (!d.shifts.empty()) {
    d.shifts.Expand(first_word, word_count, d.scratch.shifts.as<uint8_t>());
    args.shifts = d.scratch.shifts.as<uint8_t>();
  }
  const std::byte* low[kMaxLowPlanes];
  for (size_t p = 0; p < d.info.low_plane_count; ++p) {
    low[p] = d.low[p] + first_word;
    args.ahead.low[p] = reinterpret_cast<const uint8_t*>(low[p]);
  }
  if (merge) args.ahead.words = reinterpret_cast<const uint8_t*>(target);
  decode(args);
  args.rest += count * d.rest_per_iteration();
  if (!merge) return;
  MergeFloats(d.side.layout, d.scratch.heads.data(), low, word_count, target);
}

Status CheckStreamsEnd(const DecodeHeadsArgs& args) {
  bool sound = true;
  for (size_t s = 0; s < kHeadStreams; ++s) {
    sound &= args.streams[s] == args.stream_ends[s];
    for (uint8_t high : args.states->high[s]) sound &= high == 1;
  }
  if (!sound) return Error{ErrorCode::kCorrupt, 0, "float chunk: the entropy-coded streams do not end as they must"};
  return {};
}

// The last bytes of the rest plane are what remains in the states, so the last iteration runs twice: once to get them,
// once to use them.
Status DecodeLastIteration(const Decoding& d, DecodeHeadsFunction decode, const DecodeHeadsArgs& args,
                           std::byte* words) {
  alignas(64) uint8_t rest[RestBytesPerIteration(HeadKind::k16)] = {};
  size_t stored_bytes = d.rest_per_iteration() - kCarriedBytes;
  if (stored_bytes != 0) std::memcpy(rest, args.rest, stored_bytes);
  HeadStates final_states = *args.states;
  DecodeHeadsArgs trial = args;
  trial.states = &final_states;
  trial.rest = rest;
  DecodeBatch(d, decode, d.iterations - 1, 1, trial, words);
  FLYWEIGHT_TRY(CheckStreamsEnd(trial));
  for (size_t s = 0; s < kHeadStreams; ++s)
    std::memcpy(rest + stored_bytes + s * kHeadBlock, final_states.low[s], kHeadBlock);
  DecodeHeadsArgs final = args;
  final.rest = rest;
  DecodeBatch(d, decode, d.iterations - 1, 1, final, words);
  return {};
}

// Everything happens batch by batch, the checksum too, so that words are touched while they are in the first-level
// cache.
Status DecodeCodedWords(Decoding& d, Xxh3Stream& checksum, std::byte* words) {
  DecodeHeadsFunction decode = kDecodeHeads[static_cast<size_t>(d.side.head_kind())].Pick();
  DecodeHeadsArgs args{d.coder, &d.states, {}, {}, AsUint8(d.rest), nullptr, nullptr, 0};
  args.ahead.low_count = d.info.low_plane_count;
  args.ahead.word_bytes = d.info.word_bytes;
  for (size_t s = 0; s < kHeadStreams; ++s) {
    args.streams[s] = AsUint8(d.streams[s]);
    args.stream_ends[s] = AsUint8(d.streams[s]) + d.streams[s].size();
  }
  PatchReader patches(d.patches, d.info, *d.table);
  const size_t word_bytes = d.info.word_bytes;
  const size_t batch = kBatchBytes / (kHeadIteration * word_bytes);
  for (size_t first = 0; first < d.iterations;) {
    size_t count = std::min(batch, d.iterations - 1 - first);
    if (count != 0) {
      DecodeBatch(d, decode, first, count, args, words);
    } else {
      count = 1;
      FLYWEIGHT_TRY(DecodeLastIteration(d, decode, args, words));
    }
    size_t begin_word = first * kHeadIteration;
    first += count;
    const uint8_t* batch_shifts = d.shifts.empty() ? nullptr : d.scratch.shifts.as<uint8_t>();
    FLYWEIGHT_TRY(patches.ApplyBatch(begin_word, first * kHeadIteration, batch_shifts, words));
    checksum.Update({words + begin_word * word_bytes, count * kHeadIteration * word_bytes});
  }
  return patches.CheckEnd(d.coded_words());
}

}  // namespace

Status DecodeFloatChunk(const FloatSide& side, uint64_t first_word, ByteSpan payload, MutableByteSpan chunk,
                        CodecScratch::Impl& scratch, uint64_t& checksum) {
  const FloatLayoutInfo& info = Describe(side.layout);
  if (chunk.size() % info.word_bytes != 0)
    return Error{ErrorCode::kCorrupt, 0, "float chunk: its bytes are not whole words"};
  size_t word_count = chunk.size() / info.word_bytes;
  Decoding d{side, info, scratch, word_count, word_count / kHeadIteration};
  std::optional<HeadTable> own;
  std::optional<HeadCoder> own_coder;
  FLYWEIGHT_TRY(TakeApart(payload, first_word, own, own_coder, d));
  scratch.heads.Resize(kBatchBytes / info.word_bytes * info.head_bytes);
  Xxh3Stream hash;
  if (d.iterations != 0) {
    FLYWEIGHT_TRY(DecodeCodedWords(d, hash, chunk.data()));
  } else if (!d.patches.empty() || !d.streams[0].empty() || !d.streams[1].empty()) {
    return Error{ErrorCode::kCorrupt, 0, "float chunk: streams or patches where nothing is coded"};
  }
  const std::byte* low[kMaxLowPlanes];
  for (size_t p = 0; p < info.low_plane_count; ++p) low[p] = d.low[p] + d.coded_words();
  MutableByteSpan tail = chunk.subspan(d.coded_words() * info.word_bytes);
  MergeFloats(side.layout, d.tail_heads.data(), low, word_count - d.coded_words(), tail.data());
  hash.Update(tail);
  checksum = hash.Finish();
  return {};
}

}  // namespace flyweight
