#include <algorithm>
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
// Words that go through all steps together: their fields stay in the first-level cache.
constexpr size_t kBatchWords = 4096;

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
  uint8_t* symbols = nullptr;
  uint8_t* packed_signs = nullptr;
  size_t carried_bytes = 0;
  const uint8_t* packed_nibbles = nullptr;
  const uint8_t* packed_bits = nullptr;
  const std::byte* low[2] = {};
  uint8_t* plane_memory[4] = {};
  uint8_t* mask = nullptr;     ///< bits, 4 a byte
  std::byte* heads = nullptr;  ///< where they are not the words
  std::byte* words = nullptr;  ///< where they are not the chunk

  bool masked() const { return (flags & kZeroMask) != 0; }
  bool shifted() const { return side.shifts() && side.column_count != 0; }

  size_t sign_count() const { return flags & kSignsOfZeros ? word_count : coded_count; }
};

void Allocate(Decoding& d) {
  constexpr size_t kSlack = 64;  // loops that expand by mask look one word ahead
  size_t n = d.word_count + kSlack;
  d.scratch.classes.Resize(n * 15);
  std::byte* at = d.scratch.classes.data();
  auto take = [&](size_t each) {
    std::byte* taken = at;
    at += each * n;
    return taken;
  };
  auto take_bytes = [&] { return reinterpret_cast<uint8_t*>(take(1)); };
  d.words = take(4);
  d.heads = take(2);
  d.contexts = take_bytes();
  d.shifts = take_bytes();
  d.symbols = take_bytes();
  d.packed_signs = take_bytes();
  d.mask = take_bytes();
  for (uint8_t*& memory : d.plane_memory) memory = take_bytes();
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
  size_t mask_bytes = (d.word_count + 3) / 4;
  FLYWEIGHT_TRY(ReadPlane(cursor, mask_bytes, d.mask, d));
  size_t ones = 0;
  for (size_t i = 0; i < mask_bytes; ++i) ones += static_cast<size_t>(__builtin_popcount(d.mask[i]));
  uint8_t seen = 0;
  for (size_t i = 0; i < mask_bytes; ++i) seen |= d.mask[i];
  if (seen > 15) return Error{ErrorCode::kCorrupt, cursor.offset(), "class chunk: the mask has more than four bits"};
  if (d.word_count % 4 != 0 && d.mask[mask_bytes - 1] >> (d.word_count % 4) != 0)
    return Error{ErrorCode::kCorrupt, cursor.offset(), "class chunk: the mask is longer than the chunk"};
  d.coded_count = ones;
  return {};
}

ClassField Field(uint64_t first_word, const Decoding& d) {
  return {d.side.by_rows ? d.scratch.row_shifts.data() : nullptr,
          d.side.by_columns ? d.side.column_classes.data() : nullptr,
          d.side.column_count,
          first_word,
          d.side.context_bits,
          d.side.shifts()};
}

// Classes are those of all words; only the coded ones' are used.
void ExpandMasked(const ClassField& field, Decoding& d) {
  field.Expand(0, d.word_count, d.contexts, d.shifts);
  if (d.side.column_count == 0) return;
  size_t kept = 0;
  for (size_t i = 0; i < d.word_count; ++i) {
    d.contexts[kept] = d.contexts[i];
    d.shifts[kept] = d.shifts[i];
    kept += d.mask[i / 4] >> (i % 4) & 1;
  }
}

// A plane that is stored as it is gets used where it lies.
Result<const uint8_t*> ReadPlaneInPlace(ReadCursor& cursor, size_t count, uint8_t* memory, Decoding& d) {
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, count));
  if (coded.method == PlaneMethod::kStored) return reinterpret_cast<const uint8_t*>(coded.stored.data());
  FLYWEIGHT_TRY(DecodePlane(coded, {reinterpret_cast<std::byte*>(memory), count}, d.scratch.planes));
  return static_cast<const uint8_t*>(memory);
}

Status ReadPlanes(ReadCursor& cursor, Decoding& d) {
  size_t sign_bytes = PackedBytes(d.sign_count(), 1);
  d.carried_bytes = CarriedContextBytes(d.coded_count);
  if (sign_bytes < 2 * d.carried_bytes) d.carried_bytes = 0;
  FLYWEIGHT_TRY(ReadPlane(cursor, sign_bytes - d.carried_bytes, d.packed_signs, d));
  if (d.info.head_bytes == 2) {
    FLYWEIGHT_ASSIGN(d.packed_nibbles, ReadPlaneInPlace(cursor, PackedBytes(d.coded_count, 4), d.plane_memory[0], d));
    FLYWEIGHT_ASSIGN(d.packed_bits, ReadPlaneInPlace(cursor, PackedBytes(d.coded_count, 1), d.plane_memory[1], d));
  }
  for (size_t p = 0; p < d.info.low_plane_count; ++p) {
    FLYWEIGHT_ASSIGN(const uint8_t* low, ReadPlaneInPlace(cursor, d.coded_count, d.plane_memory[2 + p], d));
    d.low[p] = reinterpret_cast<const std::byte*>(low);
  }
  return {};
}

Status DecodeSymbols(ByteSpan stream, const ClassField& field, Decoding& d) {
  const ContextDecoder& decoder = d.own ? *d.own : *d.side.decoder;
  ContextDecoder::Stream running;
  FLYWEIGHT_TRY(running.Begin(decoder, stream, d.coded_count));
  if (d.masked()) ExpandMasked(field, d);
  for (size_t begin = 0; begin < d.coded_count; begin += kBatchWords) {
    size_t count = std::min(kBatchWords, d.coded_count - begin);
    std::span<const uint8_t> contexts;
    if (!d.masked() && d.side.column_count != 0) field.Expand(begin, count, d.contexts + begin, d.shifts + begin);
    if (d.side.context_bits != 0) {
      if (d.side.column_count == 0) field.Expand(begin, count, d.contexts + begin, d.shifts + begin);
      contexts = {d.contexts + begin, count};
    }
    running.Next(contexts, {d.symbols + begin, count});
  }
  auto* signs = reinterpret_cast<std::byte*>(d.packed_signs) + PackedBytes(d.sign_count(), 1) - d.carried_bytes;
  return running.End({signs, d.carried_bytes});
}

// Puts the fields of all coded heads together, batch by batch. Where zeros have signs, PutZerosBack sets all signs.
void JoinAllHeads(const Decoding& d, std::byte* heads) {
  alignas(64) uint8_t signs[kBatchWords], nibbles[kBatchWords], bits[kBatchWords];
  const bool own_signs = d.sign_count() == d.coded_count;
  if (!own_signs) std::memset(signs, 0, sizeof signs);
  for (size_t begin = 0; begin < d.coded_count; begin += kBatchWords) {
    size_t count = std::min(kBatchWords, d.coded_count - begin);
    if (own_signs) UnpackBits(d.packed_signs + begin / 8, count, 1, signs);
    if (d.info.head_bytes == 2) {
      UnpackBits(d.packed_nibbles + begin / 2, count, 4, nibbles);
      UnpackBits(d.packed_bits + begin / 8, count, 1, bits);
    }
    JoinHeads(d.side.layout, {d.symbols + begin, signs, nibbles, bits, nullptr}, count,
              d.shifted() ? d.shifts + begin : nullptr, d.base, heads + begin * d.info.head_bytes);
  }
}

Status ApplyPatches(ByteSpan patches, const Decoding& d, std::byte* heads) {
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
    std::memcpy(heads + word * d.info.head_bytes, patches.data() + at, d.info.head_bytes);
    at += d.info.head_bytes;
  }
  return {};
}

template <typename Word>
void PutZerosBack(const Decoding& d, std::byte* chunk) {
  const bool with_signs = (d.flags & kSignsOfZeros) != 0;
  uint8_t signs[kBatchWords] = {};
  size_t next = 0;
  for (size_t begin = 0; begin < d.word_count; begin += kBatchWords) {
    size_t count = std::min(kBatchWords, d.word_count - begin);
    if (with_signs) UnpackBits(d.packed_signs + begin / 8, count, 1, signs);
    for (size_t i = 0; i < count; ++i) {
      auto coded = static_cast<Word>(d.mask[(begin + i) / 4] >> (i % 4) & 1);
      auto word = static_cast<Word>(LoadLe<Word>(d.words + next * sizeof(Word)) & static_cast<Word>(Word{0} - coded));
      if (with_signs) {
        constexpr unsigned kTop = 8 * sizeof(Word) - 1;
        word = static_cast<Word>((word & ~(Word{1} << kTop)) | static_cast<Word>(signs[i]) << kTop);
      }
      StoreLe(chunk + (begin + i) * sizeof(Word), word);
      next += coded;
    }
  }
}

Status Assemble(ByteSpan patches, Decoding& d, std::byte* chunk) {
  std::byte* words = d.masked() ? d.words : chunk;
  std::byte* heads = d.info.low_plane_count == 0 ? words : d.heads;
  JoinAllHeads(d, heads);
  FLYWEIGHT_TRY(ApplyPatches(patches, d, heads));
  if (d.info.low_plane_count != 0)
    MergeFloats(static_cast<FloatLayout>(d.side.layout), heads, d.low, d.coded_count, words);
  if (!d.masked()) return {};
  if (d.info.word_bytes == 1) PutZerosBack<uint8_t>(d, chunk);
  if (d.info.word_bytes == 2) PutZerosBack<uint16_t>(d, chunk);
  if (d.info.word_bytes == 4) PutZerosBack<uint32_t>(d, chunk);
  return {};
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
  FLYWEIGHT_TRY(ReadPlanes(cursor, d));
  FLYWEIGHT_ASSIGN(ByteSpan patches, cursor.Take(d.patch_bytes));
  FLYWEIGHT_TRY(DecodeSymbols(payload.subspan(cursor.position()), Field(first_word, d), d));
  return Assemble(patches, d, chunk.data());
}

}  // namespace flyweight
