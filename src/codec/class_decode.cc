#include <cstring>
#include <string>

#include "codec/class_codec.h"
#include "codec/scratch.h"
#include "entropy/context_rans/context_kernels.h"
#include "transform/packed_bits/packed_bits.h"
#include "transform/recentre/recentre.h"

namespace flyweight {
namespace {

constexpr uint8_t kOwnTables = 1, kZeroMask = 2, kSignsOfZeros = 4;
constexpr uint16_t kLongGap = 0xFFFF;

// A payload taken apart and what decoding it needs. Arrays lie in scratch.
struct Decoding {
  const ClassSide& side;
  const ClassLayoutInfo& info;
  CodecScratch::Impl& scratch;
  size_t word_count;
  size_t coded_count = 0;
  uint8_t flags = 0;
  uint8_t base = 0;
  uint32_t patch_bytes = 0;
  std::optional<ContextDecoder> own = std::nullopt;

  uint8_t* contexts = nullptr;
  uint8_t* shifts = nullptr;
  HeadFields fields{};
  uint8_t* packed_signs = nullptr;
  size_t carried_bytes = 0;
  uint8_t* mask = nullptr;  ///< bits, 8 a byte
  std::byte* heads = nullptr;
  std::byte* words = nullptr;  ///< coded words, where they are not the chunk itself
  uint8_t* plane = nullptr;    ///< one packed plane
  std::byte* low_memory[2] = {};
  const std::byte* low[2] = {};

  size_t sign_count() const { return flags & kSignsOfZeros ? word_count : coded_count; }
};

void Allocate(Decoding& d) {
  constexpr size_t kSlack = 64;  // loops that expand by mask look one word ahead
  size_t n = d.word_count + kSlack;
  d.scratch.classes.Resize(n * 20);
  std::byte* at = d.scratch.classes.data();
  auto take = [&](size_t each) {
    std::byte* taken = at;
    at += each * n;
    return taken;
  };
  auto take_bytes = [&] { return reinterpret_cast<uint8_t*>(take(1)); };
  d.words = take(4);
  d.heads = take(2);
  d.low_memory[0] = take(1);
  d.low_memory[1] = take(1);
  d.contexts = take_bytes();
  d.shifts = take_bytes();
  d.fields = {take_bytes(), take_bytes(), take_bytes(), take_bytes(), nullptr};
  d.packed_signs = take_bytes();
  d.mask = take_bytes();
  d.plane = take_bytes();
}

Status ReadPlane(ReadCursor& cursor, size_t count, uint8_t* target, Decoding& d) {
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, count));
  return DecodePlane(coded, {reinterpret_cast<std::byte*>(target), count}, d.scratch.planes);
}

Status ReadFront(ReadCursor& cursor, Decoding& d) {
  FLYWEIGHT_ASSIGN(d.flags, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(d.base, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint16_t reserved, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(d.patch_bytes, cursor.Read<uint32_t>());
  if (d.flags > (kOwnTables | kZeroMask | kSignsOfZeros) || reserved != 0)
    return Error{ErrorCode::kUnsupportedFeature, 0, "class chunk: unknown flags " + std::to_string(d.flags)};
  if ((d.flags & kSignsOfZeros) != 0 && (d.flags & kZeroMask) == 0)
    return Error{ErrorCode::kCorrupt, 0, "class chunk: signs of zeros without zeros"};
  if (d.flags & kOwnTables) {
    FLYWEIGHT_ASSIGN(FrequencyTables tables, ReadFrequencyTables(cursor));
    if (tables.contexts.size() != d.side.context_count())
      return Error{ErrorCode::kCorrupt, cursor.offset(), "class chunk: not as many tables as contexts"};
    d.own.emplace(tables);
  } else if (d.side.decoder == nullptr) {
    return Error{ErrorCode::kCorrupt, 0, "class chunk: there are no tables"};
  }
  return {};
}

Status ReadMask(ReadCursor& cursor, Decoding& d) {
  d.coded_count = d.word_count;
  if ((d.flags & kZeroMask) == 0) return {};
  size_t mask_bytes = (d.word_count + 7) / 8;
  FLYWEIGHT_TRY(ReadPlane(cursor, mask_bytes, d.mask, d));
  size_t ones = 0;
  for (size_t i = 0; i < mask_bytes; ++i) ones += static_cast<size_t>(__builtin_popcount(d.mask[i]));
  if (d.word_count % 8 != 0 && d.mask[mask_bytes - 1] >> (d.word_count % 8) != 0)
    return Error{ErrorCode::kCorrupt, cursor.offset(), "class chunk: the mask is longer than the chunk"};
  d.coded_count = ones;
  return {};
}

// Classes are those of all words; only the coded ones' are used.
void ExpandClasses(uint64_t first_word, Decoding& d) {
  ClassField field{d.side.by_rows ? d.scratch.row_shifts.data() : nullptr,
                   d.side.by_columns ? d.side.column_classes.data() : nullptr,
                   d.side.column_count,
                   first_word,
                   d.side.context_bits,
                   d.side.shifts()};
  field.Expand(d.word_count, d.contexts, d.shifts);
  if ((d.flags & kZeroMask) == 0 || d.side.column_count == 0) return;
  size_t kept = 0;
  for (size_t i = 0; i < d.word_count; ++i) {
    d.contexts[kept] = d.contexts[i];
    d.shifts[kept] = d.shifts[i];
    kept += d.mask[i / 8] >> (i % 8) & 1;
  }
}

Status ReadPlanes(ReadCursor& cursor, Decoding& d) {
  size_t sign_bytes = PackedBytes(d.sign_count(), 1);
  d.carried_bytes = CarriedContextBytes(d.coded_count);
  if (sign_bytes < 2 * d.carried_bytes) d.carried_bytes = 0;
  FLYWEIGHT_TRY(ReadPlane(cursor, sign_bytes - d.carried_bytes, d.packed_signs, d));
  if (d.info.head_bytes == 2) {
    FLYWEIGHT_TRY(ReadPlane(cursor, PackedBytes(d.coded_count, 4), d.plane, d));
    UnpackBits(d.plane, d.coded_count, 4, d.fields.nibbles);
    FLYWEIGHT_TRY(ReadPlane(cursor, PackedBytes(d.coded_count, 1), d.plane, d));
    UnpackBits(d.plane, d.coded_count, 1, d.fields.bits);
  }
  for (size_t p = 0; p < d.info.low_plane_count; ++p) {
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, d.coded_count));
    d.low[p] = coded.stored.data();
    if (coded.method == PlaneMethod::kStored) continue;
    d.low[p] = d.low_memory[p];
    FLYWEIGHT_TRY(DecodePlane(coded, {d.low_memory[p], d.coded_count}, d.scratch.planes));
  }
  return {};
}

Status ApplyPatches(ByteSpan patches, Decoding& d) {
  size_t word = 0;
  for (size_t at = 0; at < patches.size();) {
    if (patches.size() - at < sizeof(uint16_t))
      return Error{ErrorCode::kCorrupt, at, "class chunk: a patch is cut off"};
    auto gap = LoadLe<uint16_t>(patches.data() + at);
    at += sizeof gap;
    word += gap;
    if (gap == kLongGap) continue;
    if (word >= d.coded_count || patches.size() - at < d.info.head_bytes)
      return Error{ErrorCode::kCorrupt, at, "class chunk: a patch lies outside"};
    std::memcpy(d.heads + word * d.info.head_bytes, patches.data() + at, d.info.head_bytes);
    at += d.info.head_bytes;
  }
  return {};
}

template <typename Word>
void PutZerosBack(const Decoding& d, std::byte* chunk) {
  const bool signs = (d.flags & kSignsOfZeros) != 0;
  size_t next = 0;
  for (size_t i = 0; i < d.word_count; ++i) {
    auto coded = static_cast<Word>(d.mask[i / 8] >> (i % 8) & 1);
    auto word = static_cast<Word>(LoadLe<Word>(d.words + next * sizeof(Word)) & static_cast<Word>(Word{0} - coded));
    if (signs) {
      constexpr unsigned kTop = 8 * sizeof(Word) - 1;
      word = static_cast<Word>((word & ~(Word{1} << kTop)) | static_cast<Word>(d.fields.signs[i]) << kTop);
    }
    StoreLe(chunk + i * sizeof(Word), word);
    next += coded;
  }
}

void Assemble(Decoding& d, std::byte* chunk) {
  const bool masked = (d.flags & kZeroMask) != 0;
  std::byte* words = masked ? d.words : chunk;
  if (d.info.low_plane_count == 0) {
    std::memcpy(words, d.heads, d.coded_count * d.info.head_bytes);
  } else {
    MergeFloats(static_cast<FloatLayout>(d.side.layout), d.heads, d.low, d.coded_count, words);
  }
  if (!masked) return;
  if (d.info.word_bytes == 1) PutZerosBack<uint8_t>(d, chunk);
  if (d.info.word_bytes == 2) PutZerosBack<uint16_t>(d, chunk);
  if (d.info.word_bytes == 4) PutZerosBack<uint32_t>(d, chunk);
}

}  // namespace

Status DecodeClassChunk(const ClassSide& side, uint64_t first_word, ByteSpan payload, MutableByteSpan chunk,
                        CodecScratch::Impl& scratch) {
  const ClassLayoutInfo& info = Describe(side.layout);
  if (chunk.size() % info.word_bytes != 0)
    return Error{ErrorCode::kCorrupt, 0, "class chunk: its bytes are not whole words"};
  Decoding d{side, info, scratch, chunk.size() / info.word_bytes};
  Allocate(d);
  ReadCursor cursor(payload);
  FLYWEIGHT_TRY(ReadFront(cursor, d));
  if (side.by_rows) {
    scratch.row_shifts.resize(RowsTouched(side.column_count, first_word, d.word_count));
    FLYWEIGHT_TRY(ReadClasses(cursor, scratch.planes, scratch.row_shifts));
  }
  FLYWEIGHT_TRY(ReadMask(cursor, d));
  ExpandClasses(first_word, d);
  FLYWEIGHT_TRY(ReadPlanes(cursor, d));
  FLYWEIGHT_ASSIGN(ByteSpan patches, cursor.Take(d.patch_bytes));
  std::span<const uint8_t> contexts;
  if (side.context_bits != 0) contexts = {d.contexts, d.coded_count};
  std::byte* carried = reinterpret_cast<std::byte*>(d.packed_signs) + PackedBytes(d.sign_count(), 1) - d.carried_bytes;
  const ContextDecoder& decoder = d.own ? *d.own : *side.decoder;
  FLYWEIGHT_TRY(decoder.Decode(payload.subspan(cursor.position()), contexts, {d.fields.symbols, d.coded_count},
                               {carried, d.carried_bytes}));
  UnpackBits(d.packed_signs, d.sign_count(), 1, d.fields.signs);
  const bool shifted = side.shifts() && side.column_count != 0;
  // Signs of zeros replace those of the heads later, so what stands in the heads until then does not matter.
  JoinHeads(side.layout, d.fields, d.coded_count, shifted ? d.shifts : nullptr, d.base, d.heads);
  FLYWEIGHT_TRY(ApplyPatches(patches, d));
  Assemble(d, chunk.data());
  return {};
}

}  // namespace flyweight
