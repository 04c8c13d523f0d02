#include "codec/sparse_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "codec/difference_cost.h"
#include "codec/plane_coder.h"
#include "codec/planes_codec.h"
#include "codec/scratch.h"
#include "codec/sparse_gaps.h"
#include "entropy/histogram.h"

namespace flyweight {
namespace {

constexpr size_t kSparseFrontBytes = 6;
constexpr uint8_t kGapsAsPlane = 255;
constexpr size_t kScanBytes = 64;
constexpr size_t kPlaneCodeBytes = 64;

// Calls `use(number)` for every word that is not as predicted, ascending.
template <typename Word, typename Use>
void EachChange(ByteSpan chunk, const std::byte* predicted, const Use& use) {
  const size_t word_count = chunk.size() / sizeof(Word);
  constexpr size_t kScanWords = kScanBytes / sizeof(Word);
  for (size_t i = 0; i < word_count; i += kScanWords) {
    const size_t count = std::min(kScanWords, word_count - i);
    const std::byte* words = chunk.data() + i * sizeof(Word);
    const std::byte* expected = predicted + i * sizeof(Word);
    if (std::memcmp(words, expected, count * sizeof(Word)) == 0) continue;
    for (size_t j = 0; j < count; ++j)
      if (LoadLe<Word>(words + j * sizeof(Word)) != LoadLe<Word>(expected + j * sizeof(Word))) use(i + j);
  }
}

template <typename Use>
void EachChange(size_t word_bytes, ByteSpan chunk, const std::byte* predicted, const Use& use) {
  if (word_bytes == 1) return EachChange<uint8_t>(chunk, predicted, use);
  if (word_bytes == 2) return EachChange<uint16_t>(chunk, predicted, use);
  if (word_bytes == 4) return EachChange<uint32_t>(chunk, predicted, use);
  EachChange<uint64_t>(chunk, predicted, use);
}

template <typename Word>
size_t CountChanged(ByteSpan chunk, const std::byte* predicted) {
  size_t changed = 0;
  for (size_t i = 0; i < chunk.size(); i += sizeof(Word))
    changed += LoadLe<Word>(chunk.data() + i) != LoadLe<Word>(predicted + i);
  return changed;
}

// Words at `places`, one behind the other.
template <size_t kBytes>
void GatherWords(const std::byte* words, std::span<const uint32_t> places, std::byte* gathered) {
  for (uint32_t place : places) {
    std::memcpy(gathered, words + size_t{place} * kBytes, kBytes);
    gathered += kBytes;
  }
}

template <size_t kBytes>
void ScatterWords(const std::byte* gathered, std::span<const uint32_t> places, std::byte* words) {
  for (uint32_t place : places) {
    std::memcpy(words + size_t{place} * kBytes, gathered, kBytes);
    gathered += kBytes;
  }
}

void Gather(size_t word_bytes, const std::byte* words, std::span<const uint32_t> places, std::byte* gathered) {
  if (word_bytes == 1) return GatherWords<1>(words, places, gathered);
  if (word_bytes == 2) return GatherWords<2>(words, places, gathered);
  if (word_bytes == 4) return GatherWords<4>(words, places, gathered);
  GatherWords<8>(words, places, gathered);
}

void Scatter(size_t word_bytes, const std::byte* gathered, std::span<const uint32_t> places, std::byte* words) {
  if (word_bytes == 1) return ScatterWords<1>(gathered, places, words);
  if (word_bytes == 2) return ScatterWords<2>(gathered, places, words);
  if (word_bytes == 4) return ScatterWords<4>(gathered, places, words);
  ScatterWords<8>(gathered, places, words);
}

// Bits that planes of so many words take at order 0.
double PlaneBits(const std::byte* words, size_t count, size_t word_bytes) {
  double bits = 0;
  for (size_t p = 0; p < word_bytes; ++p) {
    ByteHistogram counts{};
    for (size_t i = 0; i < count; ++i) ++counts[static_cast<uint8_t>(words[i * word_bytes + p])];
    bits += EntropyBitsPerSymbol(counts) * static_cast<double>(count);
  }
  return bits;
}

// Gaps as bytes of a plane where that is clearly smaller than `room_bytes`, else nothing.
size_t EncodeGapPlane(std::span<const uint32_t> places, size_t rice_bytes, std::vector<std::byte>& coded,
                      CodecScratch::Impl& scratch, uint32_t& gap_bytes) {
  std::vector<std::byte>& gaps = scratch.escaped;
  GapsToBytes(places, gaps);
  gap_bytes = static_cast<uint32_t>(gaps.size());
  const double bits = EntropyBitsPerSymbol(CountBytes(gaps)) * static_cast<double>(gaps.size());
  if (bits / 8 + kPlaneCodeBytes >= static_cast<double>(rice_bytes)) return 0;
  coded.resize(kPlaneHeaderBytes + gaps.size());
  const size_t written = EncodePlane(gaps, coded, scratch.planes);
  return written < rice_bytes ? written : 0;
}

Status ReadGapPlane(ReadCursor& cursor, size_t word_count, std::span<uint32_t> places, CodecScratch::Impl& scratch) {
  FLYWEIGHT_ASSIGN(uint32_t gap_count, cursor.Read<uint32_t>());
  // A gap of 255 stands for 255 words and no change.
  if (gap_count > places.size() + word_count / 255)
    return Error{ErrorCode::kCorrupt, 6, "sparse chunk: more gaps than there is room for"};
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, gap_count));
  scratch.escaped.resize(gap_count);
  FLYWEIGHT_TRY(DecodePlane(coded, scratch.escaped, scratch.planes));
  return GapsFromBytes(scratch.escaped, word_count, places);
}

}  // namespace

double SparseBits(uint64_t word_count, uint64_t changed, size_t word_bytes) {
  // Places, and values of some bits in each byte of a word.
  const double n = static_cast<double>(word_count), m = static_cast<double>(std::max<uint64_t>(changed, 1));
  return m * (ExactLog2(n / m) + 1.44 + 1.25 * static_cast<double>(word_bytes)) + 200;
}

size_t CountChangedWords(size_t word_bytes, ByteSpan chunk, const std::byte* predicted) {
  if (word_bytes == 1) return CountChanged<uint8_t>(chunk, predicted);
  if (word_bytes == 2) return CountChanged<uint16_t>(chunk, predicted);
  if (word_bytes == 4) return CountChanged<uint32_t>(chunk, predicted);
  return CountChanged<uint64_t>(chunk, predicted);
}

size_t EncodeSparseChunk(PatchWord word, ByteSpan chunk, const std::byte* predicted, MutableByteSpan payload,
                         CodecScratch::Impl& scratch) {
  std::vector<uint32_t>& places = scratch.patched_elements;
  places.clear();
  EachChange(word.bytes, chunk, predicted, [&](size_t number) { places.push_back(static_cast<uint32_t>(number)); });
  const size_t count = places.size();
  if (count == 0 || payload.size() < kSparseFrontBytes) return 0;
  const size_t value_bytes = count * word.bytes;
  scratch.differences.Resize(4 * value_bytes);
  std::byte* base = scratch.differences.data();
  std::byte* words = base + value_bytes;
  std::byte* values = words + value_bytes;
  std::byte* xored = values + value_bytes;
  Gather(word.bytes, predicted, places, base);
  Gather(word.bytes, chunk.data(), places, words);
  TakeBaseDifferences(word.difference, words, base, count, word.bytes, values);
  TakeBaseDifferences(BaseDifference::kXor, words, base, count, word.bytes, xored);
  BaseDifference how = word.difference;
  if (PlaneBits(xored, count, word.bytes) < PlaneBits(values, count, word.bytes)) {
    how = BaseDifference::kXor;
    values = xored;
  }

  std::vector<std::byte> gap_plane;
  const uint8_t k = ChooseRice(places);
  const size_t rice_bytes = RiceBytes(places, k);
  uint32_t gap_count = 0;
  const size_t plane_bytes = EncodeGapPlane(places, rice_bytes, gap_plane, scratch, gap_count);
  const size_t gap_bytes = plane_bytes != 0 ? sizeof gap_count + plane_bytes : rice_bytes;
  if (payload.size() < kSparseFrontBytes + gap_bytes) return 0;
  std::byte* out = payload.data();
  StoreLe(out, static_cast<uint8_t>(how));
  StoreLe(out + 1, plane_bytes != 0 ? kGapsAsPlane : k);
  StoreLe(out + 2, static_cast<uint32_t>(count));
  out += kSparseFrontBytes;
  if (plane_bytes != 0) {
    StoreLe(out, gap_count);
    std::memcpy(out + sizeof gap_count, gap_plane.data(), plane_bytes);
  } else {
    WriteRice(places, k, out);
  }
  const size_t front = kSparseFrontBytes + gap_bytes;
  const size_t coded = EncodePlanesChunk({values, value_bytes}, word.bytes, false, payload.subspan(front), scratch);
  return coded == 0 ? 0 : front + coded;
}

Status DecodeSparseChunk(PatchWord word, ByteSpan payload, const std::byte* predicted, MutableByteSpan chunk,
                         CodecScratch::Impl& scratch) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint8_t how, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t k, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint32_t count, cursor.Read<uint32_t>());
  if (how > kBaseDifferenceLast || (k > kMaxRice && k != kGapsAsPlane))
    return Error{ErrorCode::kUnsupportedFeature, 0, "sparse chunk: unknown kind of gaps or differences"};
  const size_t word_count = chunk.size() / word.bytes;
  if (count == 0 || count > word_count)
    return Error{ErrorCode::kCorrupt, 2, "sparse chunk: " + std::to_string(count) + " changes"};
  std::vector<uint32_t>& places = scratch.patched_elements;
  places.resize(count);
  if (k == kGapsAsPlane) {
    FLYWEIGHT_TRY(ReadGapPlane(cursor, word_count, places, scratch));
  } else {
    FLYWEIGHT_ASSIGN(size_t rice_bytes, ReadRice(payload.subspan(cursor.position()), k, word_count, places));
    FLYWEIGHT_TRY(cursor.Take(rice_bytes));
  }
  const size_t value_bytes = size_t{count} * word.bytes;
  scratch.differences.Resize(2 * value_bytes);
  std::byte* values = scratch.differences.data();
  std::byte* base = values + value_bytes;
  FLYWEIGHT_TRY(DecodePlanesChunk(payload.subspan(cursor.position()), word.bytes, {values, value_bytes}, scratch));
  Gather(word.bytes, predicted, places, base);
  AddBaseDifferences(static_cast<BaseDifference>(how), values, base, count, word.bytes, base);
  if (predicted != chunk.data()) std::memcpy(chunk.data(), predicted, chunk.size());
  Scatter(word.bytes, base, places, chunk.data());
  return {};
}

}  // namespace flyweight
