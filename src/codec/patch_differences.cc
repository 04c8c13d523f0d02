#include "codec/patch_differences.h"

#include <algorithm>
#include <string>

#include "codec/planes_codec.h"
#include "codec/scratch.h"
#include "entropy/histogram.h"
#include "transform/byte_planes/byte_planes.h"

namespace flyweight {
namespace {

constexpr size_t kSampledWords = 4096;
// Tables and states of coded planes, roughly.
constexpr size_t kOverheadBytes = 80;

// Bytes that planes of the differences would take at order 0, judged from a sample.
double SampledBits(BaseDifference how, PatchWord word, ByteSpan chunk, const std::byte* predicted,
                   CodecScratch::Impl& scratch) {
  const size_t word_count = chunk.size() / word.bytes;
  const size_t run = std::min<size_t>(word_count, 256), runs = std::max<size_t>(1, kSampledWords / 256);
  const size_t step = (word_count - run) / runs;
  const size_t count = run * runs;
  scratch.sample.Resize(2 * count * word.bytes);
  std::byte* differences = scratch.sample.data();
  for (size_t r = 0; r < runs; ++r) {
    const size_t at = r * step * word.bytes;
    TakeBaseDifferences(how, chunk.data() + at, predicted + at, run, word.bytes, differences + r * run * word.bytes);
  }
  std::byte* planes = differences + count * word.bytes;
  SplitPlanes(differences, count, word.bytes, false, planes);
  double bits = 0;
  for (size_t p = 0; p < word.bytes; ++p) bits += EntropyBitsPerSymbol(CountBytes({planes + p * count, count}));
  return bits;
}

struct Choice {
  BaseDifference how;
  double bits;  ///< of a word
};

Choice Choose(PatchWord word, ByteSpan chunk, const std::byte* predicted, CodecScratch::Impl& scratch) {
  double by_difference = SampledBits(word.difference, word, chunk, predicted, scratch);
  double by_xor = SampledBits(BaseDifference::kXor, word, chunk, predicted, scratch);
  if (by_xor < by_difference) return {BaseDifference::kXor, by_xor};
  return {word.difference, by_difference};
}

}  // namespace

size_t EstimatePatchDifferences(PatchWord word, ByteSpan chunk, const std::byte* predicted,
                                CodecScratch::Impl& scratch) {
  const double word_count = static_cast<double>(chunk.size()) / static_cast<double>(word.bytes);
  return static_cast<size_t>(Choose(word, chunk, predicted, scratch).bits / 8 * word_count) + kOverheadBytes;
}

size_t EncodePatchDifferences(PatchWord word, ByteSpan chunk, const std::byte* predicted, MutableByteSpan payload,
                              CodecScratch::Impl& scratch) {
  if (payload.empty() || chunk.empty()) return 0;
  const BaseDifference how = Choose(word, chunk, predicted, scratch).how;
  scratch.differences.Resize(chunk.size());
  TakeBaseDifferences(how, chunk.data(), predicted, chunk.size() / word.bytes, word.bytes, scratch.differences.data());
  StoreLe(payload.data(), static_cast<uint8_t>(how));
  size_t planes =
      EncodePlanesChunk({scratch.differences.data(), chunk.size()}, word.bytes, false, payload.subspan(1), scratch);
  return planes == 0 ? 0 : 1 + planes;
}

Status DecodePatchDifferences(PatchWord word, ByteSpan payload, const std::byte* predicted, MutableByteSpan chunk,
                              CodecScratch::Impl& scratch) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint8_t how, cursor.Read<uint8_t>());
  if (how > kBaseDifferenceLast)
    return Error{ErrorCode::kUnsupportedFeature, 0, "unknown kind of difference " + std::to_string(how)};
  scratch.differences.Resize(chunk.size());
  std::byte* differences = scratch.differences.data();
  FLYWEIGHT_TRY(DecodePlanesChunk(payload.subspan(1), word.bytes, {differences, chunk.size()}, scratch));
  AddBaseDifferences(static_cast<BaseDifference>(how), differences, predicted, chunk.size() / word.bytes, word.bytes,
                     chunk.data());
  return {};
}

}  // namespace flyweight
