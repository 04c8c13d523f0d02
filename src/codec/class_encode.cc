#include <algorithm>
#include <array>
#include <cstring>

#include "codec/class_codec.h"
#include "codec/scratch.h"
#include "transform/packed_bits/packed_bits.h"
#include "transform/recentre/recentre.h"

namespace flyweight {
namespace {

constexpr uint8_t kOwnTables = 1, kZeroMask = 2, kSignsOfZeros = 4;
// A mask of zeros costs its entropy, a patch some 4 bytes.
constexpr size_t kMaskFrom = 2000;
constexpr double kPatchBits = 32;
constexpr uint16_t kLongGap = 0xFFFF;

// One chunk on its way through the encoder. All arrays lie in scratch and have one entry a word, or, once the zeros are
// out, one a coded word.
struct Encoding {
  const ClassSide& side;
  const ClassLayoutInfo& info;
  CodecScratch::Impl& scratch;
  size_t word_count;
  size_t coded_count = 0;
  bool masked = false;
  bool signs_of_zeros = false;
  uint8_t base = 0;

  std::byte* heads = nullptr;
  std::byte* low[2] = {};
  uint8_t* contexts = nullptr;
  uint8_t* shifts = nullptr;
  HeadFields fields{};
  uint8_t* mask = nullptr;       ///< one byte a word: 1 = coded
  uint8_t* all_signs = nullptr;  ///< of all words
};

void Allocate(Encoding& e) {
  size_t n = e.word_count + 4;  // the mask is filled up to whole groups of four
  e.scratch.classes.Resize(n * 16);
  std::byte* at = e.scratch.classes.data();
  auto take = [&](size_t each) {
    std::byte* taken = at;
    at += each * n;
    return taken;
  };
  auto take_bytes = [&] { return reinterpret_cast<uint8_t*>(take(1)); };
  e.heads = take(2);
  e.low[0] = take(1);
  e.low[1] = take(1);
  e.contexts = take_bytes();
  e.shifts = take_bytes();
  e.fields = {take_bytes(), take_bytes(), take_bytes(), take_bytes(), take_bytes()};
  e.mask = take_bytes();
  e.all_signs = take_bytes();
}

void SplitWords(ByteSpan chunk, Encoding& e) {
  if (e.info.low_plane_count == 0) {
    std::memcpy(e.heads, chunk.data(), chunk.size());
    return;
  }
  SplitFloats(static_cast<FloatLayout>(e.side.layout), chunk.data(), e.word_count, e.heads, e.low[0],
              static_cast<size_t>(e.low[1] - e.low[0]));
}

struct ZeroCount {
  size_t zeros = 0;
  size_t negative = 0;
};

template <typename Word>
ZeroCount CountZeros(const std::byte* __restrict words, size_t count) {
  uint32_t zeros = 0, positive = 0;
  for (size_t i = 0; i < count; ++i) {
    auto word = LoadLe<Word>(words + i * sizeof(Word));
    zeros += static_cast<Word>(word << 1) == 0;
    positive += word == 0;
  }
  return {zeros, zeros - positive};
}

template <typename Word>
void MarkZeros(const std::byte* __restrict words, size_t count, uint8_t* __restrict mask, uint8_t* __restrict signs) {
  for (size_t i = 0; i < count; ++i) {
    auto word = LoadLe<Word>(words + i * sizeof(Word));
    mask[i] = static_cast<Word>(word << 1) != 0;
    signs[i] = static_cast<uint8_t>(word >> (8 * sizeof(Word) - 1));
  }
}

template <typename Word>
void FindZerosIn(ByteSpan chunk, Encoding& e) {
  ZeroCount count = CountZeros<Word>(chunk.data(), e.word_count);
  if (count.zeros * kMaskFrom < e.word_count || count.zeros == 0) return;
  e.masked = true;
  e.signs_of_zeros = count.negative != 0;
  e.coded_count = e.word_count - count.zeros;
  MarkZeros<Word>(chunk.data(), e.word_count, e.mask, e.all_signs);
}

void FindZeros(ByteSpan chunk, Encoding& e) {
  e.coded_count = e.word_count;
  if (e.info.word_bytes == 2) FindZerosIn<uint16_t>(chunk, e);
  if (e.info.word_bytes == 4) FindZerosIn<uint32_t>(chunk, e);
}

void MeasureRows(DType dtype, uint64_t first_word, Encoding& e) {
  const uint64_t columns = e.side.column_count;
  e.scratch.row_shifts.clear();
  size_t head_bytes = e.info.head_bytes;
  const std::byte* heads = e.heads;
  if (e.side.layout == ClassLayout::kF8) {
    e.scratch.heads.Resize(2 * e.word_count);
    WidenF8(dtype, e.heads, e.word_count, e.scratch.heads.data());
    heads = e.scratch.heads.data();
    head_bytes = 2;
  }
  uint64_t column = first_word % columns;
  for (uint64_t word = 0; word < e.word_count;) {
    uint64_t run = std::min(columns - column, e.word_count - word);
    float mean = MeanMagnitude(heads + word * head_bytes, head_bytes, run);
    e.scratch.row_shifts.push_back(ClassOf(mean, e.side.row_reference, e.side.scale_bits()));
    word += run;
    column = 0;
  }
}

void ExpandClasses(DType dtype, uint64_t first_word, Encoding& e) {
  if (e.side.by_rows) MeasureRows(dtype, first_word, e);
  ClassField field{e.side.by_rows ? e.scratch.row_shifts.data() : nullptr,
                   e.side.by_columns ? e.side.column_classes.data() : nullptr,
                   e.side.column_count,
                   first_word,
                   e.side.context_bits,
                   e.side.shifts()};
  field.Expand(0, e.word_count, e.contexts, e.shifts);
}

template <typename T>
void Compact(const uint8_t* mask, size_t count, T* values) {
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    values[kept] = values[i];
    kept += mask[i];
  }
}

void RemoveZeros(Encoding& e) {
  if (!e.masked) return;
  if (e.info.head_bytes == 2) Compact(e.mask, e.word_count, reinterpret_cast<uint16_t*>(e.heads));
  if (e.info.head_bytes == 1) Compact(e.mask, e.word_count, reinterpret_cast<uint8_t*>(e.heads));
  for (size_t p = 0; p < e.info.low_plane_count; ++p)
    Compact(e.mask, e.word_count, reinterpret_cast<uint8_t*>(e.low[p]));
  Compact(e.mask, e.word_count, e.contexts);
  Compact(e.mask, e.word_count, e.shifts);
}

uint8_t BaseOf(const Encoding& e) {
  if (e.side.tables.has_value() || e.side.layout == ClassLayout::kF8) return e.side.base;
  ByteHistogram exponents{};
  for (size_t i = 0; i < e.coded_count; ++i) {
    unsigned exponent = e.info.head_bytes == 2 ? LoadLe<uint16_t>(e.heads + 2 * i) >> 7 & 0xFFU
                                               : static_cast<unsigned>(e.heads[i]) >> 2 & 31U;
    ++exponents[(exponent - e.shifts[i]) & 0xFF];
  }
  return ChooseExponentBase(exponents);
}

// Neighbours count in different tables, so that equal ones do not wait for each other's increment. Words outside the
// window count as well; they are few.
std::vector<ByteHistogram> CountSymbols(const Encoding& e) {
  std::vector<ByteHistogram> counts(e.side.context_count()), more(e.side.context_count());
  size_t i = 0;
  if (counts.size() == 1) {
    counts[0] = CountBytes({reinterpret_cast<const std::byte*>(e.fields.symbols), e.coded_count});
    return counts;
  }
  for (; i + 2 <= e.coded_count; i += 2) {
    ++counts[e.contexts[i]][e.fields.symbols[i]];
    ++more[e.contexts[i + 1]][e.fields.symbols[i + 1]];
  }
  if (i < e.coded_count) ++counts[e.contexts[i]][e.fields.symbols[i]];
  for (size_t c = 0; c < counts.size(); ++c) {
    for (size_t v = 0; v < 256; ++v) counts[c][v] += more[c][v];
  }
  return counts;
}

double Bits(const FrequencyTables& tables, std::span<const ByteHistogram> counts) {
  double bits = 0;
  for (size_t c = 0; c < counts.size(); ++c)
    bits += EstimateBits(tables.contexts[c], counts[c], tables.precision_bits, kPatchBits);
  return bits;
}

// Tables of the chunk's own, where the record has none or they do not fit it.
std::optional<FrequencyTables> OwnTables(const Encoding& e, std::span<const ByteHistogram> counts) {
  FrequencyTables own = BuildClassTables(counts, ClassPrecisionBits(counts.size()), false);
  if (!e.side.tables.has_value()) return own;
  ByteWriter written;
  WriteFrequencyTables(own.contexts, own.precision_bits, written);
  double own_bits = Bits(own, counts) + 8 * static_cast<double>(written.size());
  if (own_bits >= Bits(*e.side.tables, counts)) return std::nullopt;
  return own;
}

// Whether some word cannot be coded by these tables.
bool AnyUnknown(const Encoding& e, const FrequencyTables& tables, std::span<const ByteHistogram> counts) {
  if (std::memchr(e.fields.outside, 1, e.coded_count) != nullptr) return true;
  for (size_t c = 0; c < counts.size(); ++c) {
    for (size_t v = 0; v < 256; ++v) {
      if (counts[c][v] != 0 && tables.contexts[c].frequency[v] == 0) return true;
    }
  }
  return false;
}

// Words whose symbol cannot be coded get the commonest one and a patch that puts their head right.
void PatchUnknown(const Encoding& e, const FrequencyTables& tables, ByteWriter& patches) {
  std::vector<uint8_t> commonest;
  for (const FrequencyTable& table : tables.contexts) {
    commonest.push_back(static_cast<uint8_t>(std::max_element(table.frequency.begin(), table.frequency.end()) -
                                             table.frequency.begin()));
  }
  std::vector<std::array<uint8_t, 256>> unknown(tables.contexts.size());
  for (size_t c = 0; c < unknown.size(); ++c) {
    for (size_t v = 0; v < 256; ++v) unknown[c][v] = tables.contexts[c].frequency[v] == 0;
  }
  size_t last = 0;
  uint8_t* const symbols = e.fields.symbols;
  const uint8_t *const outside = e.fields.outside, *const contexts = e.contexts;
  for (size_t i = 0; i < e.coded_count; ++i) {
    if ((outside[i] | unknown[contexts[i]][symbols[i]]) == 0) continue;
    symbols[i] = commonest[contexts[i]];
    size_t gap = i - last;
    for (; gap >= kLongGap; gap -= kLongGap) patches.Write(kLongGap);
    patches.Write(static_cast<uint16_t>(gap));
    patches.Append({e.heads + i * e.info.head_bytes, e.info.head_bytes});
    last = i;
  }
}

// Builds a payload in memory that is larger than any chunk's.
class Payload {
 public:
  Payload(MutableByteSpan memory, PlaneScratch& planes) : memory_(memory), planes_(planes) {}
  void Append(ByteSpan bytes) {
    if (!bytes.empty()) std::memcpy(memory_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  void AppendPlane(ByteSpan plane) { size_ += EncodePlane(plane, memory_.subspan(size_), planes_); }
  MutableByteSpan room() const { return memory_.subspan(size_); }
  void Advance(size_t count) { size_ += count; }
  ByteSpan bytes() const { return memory_.first(size_); }

 private:
  MutableByteSpan memory_;
  PlaneScratch& planes_;
  size_t size_ = 0;
};

ByteSpan Packed(const uint8_t* values, size_t count, unsigned bits, AlignedBuffer& buffer) {
  buffer.Resize(PackedBytes(count, bits) + 1);
  PackBits(values, count, bits, buffer.as<uint8_t>());
  return {buffer.data(), PackedBytes(count, bits)};
}

// Four words a byte: so patterns of two in four are few values, and tables of rare zeros small.
ByteSpan PackedMask(const Encoding& e, AlignedBuffer& buffer) {
  const size_t mask_bytes = (e.word_count + 3) / 4;
  buffer.Resize(mask_bytes);
  std::memset(e.mask + e.word_count, 0, 4 * mask_bytes - e.word_count);
  for (size_t i = 0; i < mask_bytes; ++i) {
    const uint8_t* four = e.mask + 4 * i;
    buffer.data()[i] = static_cast<std::byte>(four[0] | four[1] << 1 | four[2] << 2 | four[3] << 3);
  }
  return {buffer.data(), mask_bytes};
}

}  // namespace

FrequencyTables BuildClassTables(std::span<const ByteHistogram> counts, int precision_bits, bool drop_rare) {
  FrequencyTables tables;
  tables.precision_bits = precision_bits;
  for (ByteHistogram context : counts) {
    uint64_t total = 0;
    for (uint32_t count : context) total += count;
    // A symbol takes at least one slot from all others; under this it is cheaper to patch it.
    for (uint32_t& count : context) {
      if (drop_rare && uint64_t{count} << 15 < total) count = 0;
    }
    tables.contexts.push_back(NormaliseFrequencies(context, precision_bits));
  }
  return tables;
}

uint8_t ChooseExponentBase(const ByteHistogram& exponents) {
  uint64_t held = 0, best = 0;
  for (size_t i = 0; i < 64; ++i) held += exponents[i];
  best = held;
  uint8_t base = 0;
  for (unsigned first = 1; first < 256; ++first) {
    held += exponents[(first + 63) & 0xFF];
    held -= exponents[first - 1];
    if (held > best) best = held, base = static_cast<uint8_t>(first);
  }
  return base;
}

size_t EncodeClassChunk(const ClassSide& side, DType dtype, uint64_t first_word, ByteSpan chunk,
                        MutableByteSpan payload, CodecScratch::Impl& scratch) {
  const ClassLayoutInfo& info = Describe(side.layout);
  Encoding e{side, info, scratch, chunk.size() / info.word_bytes};
  Allocate(e);
  SplitWords(chunk, e);
  FindZeros(chunk, e);
  ExpandClasses(dtype, first_word, e);
  RemoveZeros(e);
  e.base = BaseOf(e);
  const bool shifted = side.shifts() && side.column_count != 0;
  SplitHeads(side.layout, e.heads, e.coded_count, shifted ? e.shifts : nullptr, e.base, e.fields);
  std::vector<ByteHistogram> counts = CountSymbols(e);
  std::optional<FrequencyTables> own = OwnTables(e, counts);
  const FrequencyTables& tables = own ? *own : *side.tables;
  ByteWriter patches;
  if (AnyUnknown(e, tables, counts)) PatchUnknown(e, tables, patches);

  scratch.streams.Resize(chunk.size() * 2 + patches.size() + (size_t{1} << 16));
  Payload out({scratch.streams.data(), scratch.streams.size()}, scratch.planes);
  ByteWriter front;
  front.Write(static_cast<uint8_t>((own ? kOwnTables : 0) | (e.masked ? kZeroMask : 0) |
                                   (e.signs_of_zeros ? kSignsOfZeros : 0)));
  front.Write(e.base);
  front.Write(uint16_t{0});
  front.Write(static_cast<uint32_t>(patches.size()));
  if (own) WriteFrequencyTables(own->contexts, own->precision_bits, front);
  if (side.by_rows) WriteClasses(scratch.row_shifts, scratch.planes, front);
  out.Append(front.bytes());
  if (e.masked) out.AppendPlane(PackedMask(e, scratch.low));

  const uint8_t* signs = e.signs_of_zeros ? e.all_signs : e.fields.signs;
  ByteSpan packed_signs = Packed(signs, e.signs_of_zeros ? e.word_count : e.coded_count, 1, scratch.signs);
  size_t carried_bytes = CarriedContextBytes(e.coded_count);
  if (packed_signs.size() < 2 * carried_bytes) carried_bytes = 0;
  out.AppendPlane(packed_signs.first(packed_signs.size() - carried_bytes));
  if (info.head_bytes == 2) {
    out.AppendPlane(Packed(e.fields.nibbles, e.coded_count, 4, scratch.low));
    out.AppendPlane(Packed(e.fields.bits, e.coded_count, 1, scratch.low));
  }
  for (size_t p = 0; p < info.low_plane_count; ++p) out.AppendPlane({e.low[p], e.coded_count});
  out.Append(patches.bytes());
  std::span<const uint8_t> contexts;
  if (side.context_bits != 0) contexts = {e.contexts, e.coded_count};
  std::optional<ContextEncoder> own_encoder;
  // A side that was read has no encoder.
  if (own || side.encoder == nullptr) own_encoder.emplace(tables);
  const ContextEncoder& encoder = own_encoder ? *own_encoder : *side.encoder;
  size_t stream_bytes =
      encoder.Encode({e.fields.symbols, e.coded_count}, contexts, packed_signs.last(carried_bytes), out.room());
  out.Advance(stream_bytes);
  if (stream_bytes == 0 || out.bytes().size() > payload.size()) return 0;
  std::memcpy(payload.data(), out.bytes().data(), out.bytes().size());
  return out.bytes().size();
}

}  // namespace flyweight
