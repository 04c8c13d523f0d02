#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "codec/class_side.h"
#include "codec/lossy_patch_codec.h"
#include "codec/lossy_patch_side.h"
#include "codec/patch_differences.h"
#include "codec/scratch.h"
#include "entropy/context_rans/context_coder.h"
#include "lossy/delta_steps.h"
#include "transform/byte_planes/byte_planes.h"

namespace flyweight {
namespace {

constexpr size_t kBatch = 4096;

struct Decoding {
  const LossyPatchSide& side;
  DType dtype;
  size_t element_bytes;
  uint64_t first;
  size_t count;
  CodecScratch::Impl& scratch;

  uint8_t* contexts = nullptr;
  uint8_t* low_bits = nullptr;
  uint8_t* symbols = nullptr;
  int32_t* numbers = nullptr;
  std::vector<uint16_t> steps = {};
  std::vector<int8_t> rows = {};
  ByteSpan low = {};
  ByteSpan exact = {};
};

void Allocate(Decoding& d) {
  const size_t n = (d.count + 63) / 64 * 64;
  d.scratch.classes.Resize(n * 7);
  std::byte* at = d.scratch.classes.data();
  d.numbers = reinterpret_cast<int32_t*>(at);
  d.contexts = reinterpret_cast<uint8_t*>(at + 4 * n);
  d.low_bits = d.contexts + n;
  d.symbols = d.low_bits + n;
}

Error Corrupt(const ReadCursor& cursor, const std::string& what) {
  return {ErrorCode::kCorrupt, cursor.offset(), "lossy patch: " + what};
}

Status ReadRowSteps(ReadCursor& cursor, Decoding& d) {
  if (!d.side.row_steps) return {};
  const size_t count = RowsOfChunk(d.side.column_count, d.first, d.count);
  std::vector<std::byte> memory(2 * count);
  const std::byte* planes[2] = {memory.data(), memory.data() + count};
  for (size_t p = 0; p < 2; ++p) {
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, count));
    FLYWEIGHT_TRY(DecodePlane(coded, MutableByteSpan(memory).subspan(p * count, count), d.scratch.planes));
  }
  d.steps.resize(count);
  MergePlanes(planes, count, 2, true, reinterpret_cast<std::byte*>(d.steps.data()));
  for (uint16_t step : d.steps) {
    if (step >= 0x7F80) return Corrupt(cursor, "the step of a row is none");
  }
  return {};
}

Status ReadContexts(ReadCursor& cursor, Decoding& d) {
  if (!d.side.has_contexts()) {
    std::memset(d.low_bits, 0, d.count);
    return {};
  }
  if (d.side.by_rows) {
    d.rows.resize(RowsOfChunk(d.side.column_count, d.first, d.count));
    FLYWEIGHT_TRY(ReadClasses(cursor, d.scratch.planes, d.rows));
  }
  ForEachRow(d.side.column_count, d.first, d.count, [&](size_t run, size_t begin, size_t count, size_t column) {
    ExpandDeltaContexts(d.side.by_columns ? d.side.columns.data() + column : nullptr, d.side.by_rows ? d.rows[run] : 0,
                        count, d.contexts + begin, d.low_bits + begin);
  });
  return {};
}

// How many bytes the low bits take, all behind each other.
size_t LowBytes(const Decoding& d) {
  size_t bits = 0;
  for (size_t i = 0; i < d.count; ++i) bits += d.low_bits[i];
  return (bits + 7) / 8;
}

// kDecodePaddingBytes are readable behind the payload, so that eight bytes may be loaded anywhere in it.
void JoinNumbers(Decoding& d) {
  size_t at = 0;
  for (size_t i = 0; i < d.count; ++i) {
    const uint8_t symbol = d.symbols[i];
    const unsigned low_bits = d.low_bits[i];
    int32_t number = (symbol & 1) != 0 ? -(symbol / 2) - 1 : symbol / 2;
    if (low_bits != 0) {
      uint64_t low = LoadLe<uint64_t>(d.low.data() + at / 8) >> (at % 8) & ((uint64_t{1} << low_bits) - 1);
      number = number * (1 << low_bits) + static_cast<int32_t>(low);
      at += low_bits;
    }
    d.numbers[i] = symbol == kDeltaExact ? 0 : number;
  }
}

Status DecodeSymbols(const FrequencyTables& tables, ByteSpan stream, Decoding& d) {
  ContextDecoder decoder(tables);
  ContextDecoder::Stream running;
  FLYWEIGHT_TRY(running.Begin(decoder, stream, d.count));
  for (size_t begin = 0; begin < d.count; begin += kBatch) {
    const size_t count = std::min(kBatch, d.count - begin);
    std::span<const uint8_t> contexts;
    if (d.side.has_contexts()) contexts = {d.contexts + begin, count};
    running.Next(contexts, {d.symbols + begin, count});
  }
  return running.End({});
}

Status PutExact(uint32_t exact_count, MutableByteSpan chunk, Decoding& d) {
  std::vector<uint32_t> positions;
  for (size_t i = 0; i < d.count; ++i) {
    if (d.symbols[i] == kDeltaExact) positions.push_back(static_cast<uint32_t>(i));
  }
  if (positions.size() != exact_count || (exact_count == 0 && !d.exact.empty()))
    return Error{ErrorCode::kCorrupt, 0, "lossy patch: not as many exact elements as it says"};
  if (positions.empty()) return {};
  std::vector<std::byte> elements(positions.size() * d.element_bytes);
  for (size_t i = 0; i < positions.size(); ++i)
    std::memcpy(elements.data() + i * d.element_bytes, chunk.data() + positions[i] * d.element_bytes, d.element_bytes);
  FLYWEIGHT_TRY(DecodePatchDifferences(PatchWordOf(d.dtype), d.exact, elements.data(), elements, d.scratch));
  for (size_t i = 0; i < positions.size(); ++i)
    std::memcpy(chunk.data() + positions[i] * d.element_bytes, elements.data() + i * d.element_bytes, d.element_bytes);
  return {};
}

}  // namespace

Status DecodeLossyPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan payload, MutableByteSpan chunk,
                             CodecScratch::Impl& scratch) {
  const size_t element_bytes = ElementBytes(head.dtype);
  Decoding d{*head.side->lossy_patch,      head.dtype, element_bytes, FirstWord(head, element_bytes, chunk_index),
             chunk.size() / element_bytes, scratch};
  Allocate(d);
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint32_t exact_count, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t exact_bytes, cursor.Read<uint32_t>());
  FLYWEIGHT_TRY(ReadRowSteps(cursor, d));
  FLYWEIGHT_TRY(ReadContexts(cursor, d));
  FLYWEIGHT_ASSIGN(FrequencyTables tables, ReadFrequencyTables(cursor));
  if (tables.contexts.size() != (d.side.has_contexts() ? kDeltaContexts : 1))
    return Corrupt(cursor, "not as many tables as contexts");
  FLYWEIGHT_ASSIGN(d.low, cursor.Take(LowBytes(d)));
  FLYWEIGHT_ASSIGN(d.exact, cursor.Take(exact_bytes));
  FLYWEIGHT_TRY(DecodeSymbols(tables, payload.subspan(cursor.position()), d));
  JoinNumbers(d);
  // Exact elements are differences to the base, which is still there: their number is 0.
  ForEachRow(d.side.column_count, d.first, d.count, [&](size_t run, size_t begin, size_t count, size_t) {
    float step = d.side.row_steps ? std::bit_cast<float>(static_cast<uint32_t>(d.steps[run]) << 16) : d.side.step;
    AddDeltaSteps(d.dtype, d.numbers + begin, count, step, chunk.data() + begin * element_bytes);
  });
  return PutExact(exact_count, chunk, d);
}

}  // namespace flyweight
