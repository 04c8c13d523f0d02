#include "codec/patch_chunk.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string>

#include "base/hash.h"
#include "codec/dense_codec.h"
#include "codec/lossy_patch_codec.h"
#include "codec/lossy_patch_record.h"
#include "codec/order_zero.h"
#include "codec/patch_differences.h"
#include "codec/patch_record.h"
#include "codec/patch_strips.h"
#include "codec/planes_codec.h"
#include "codec/scratch.h"
#include "codec/sparse_codec.h"

namespace flyweight {
namespace {

constexpr size_t kBaseCheckBytes = sizeof(uint64_t);

// Estimates may be so far off.
constexpr double kWorthATry = 1.5;
constexpr double kTooManyBits = 1e300;
// Nothing without a base is much smaller.
constexpr size_t kSmallPayloadBytes = 32;

bool NeedsBase(const RecordHead& head, CodecId codec) {
  if (codec == CodecId::kLossyPatch) return IsLossyPatch(head);
  return codec >= CodecId::kPatchSame && codec <= CodecId::kPatchDifferences;
}

// Keeps the smallest of several encodings of a chunk.
class PatchContest {
 public:
  PatchContest(ByteSpan chunk, MutableByteSpan payload, uint64_t base_check, CodecScratch::Impl& scratch)
      : chunk_(chunk), payload_(payload), base_check_(base_check), scratch_(scratch) {}

  /// `encode(target)` gives the bytes it wrote behind the checksum of the base, or nothing.
  template <typename Encode>
  void Try(CodecId codec, const Encode& encode) {
    scratch_.trial.Resize(payload_.size());
    MutableByteSpan trial(scratch_.trial.data(), std::min(payload_.size(), best_.payload_bytes));
    if (trial.size() < kBaseCheckBytes) return;
    std::optional<size_t> written = encode(trial.subspan(kBaseCheckBytes));
    if (!written || kBaseCheckBytes + *written >= best_.payload_bytes) return;
    best_ = {codec, kBaseCheckBytes + *written};
    StoreLe(payload_.data(), base_check_);
    if (*written != 0) std::memcpy(payload_.data() + kBaseCheckBytes, trial.data() + kBaseCheckBytes, *written);
  }

  double bits() const {
    return best_.payload_bytes == SIZE_MAX ? kTooManyBits : 8 * static_cast<double>(best_.payload_bytes);
  }

  /// Whether what stands yet takes much of the chunk.
  bool IsPoor() const { return best_.payload_bytes > chunk_.size() / 2; }

  /// Whether the chunk may take less without its base: where there is little in it, or it repeats itself.
  bool MayBeSmallAlone(size_t word_bytes) const {
    if (best_.payload_bytes <= kSmallPayloadBytes) return false;
    return IsPoor() || EstimateOrderZero(chunk_, word_bytes) < best_.payload_bytes || LooksCopied(chunk_);
  }

  EncodedChunk Finish(const RecordHead& head, Level level, uint64_t chunk_index) {
    if (!MayBeSmallAlone(PatchWordOf(head.dtype).bytes)) return best_;
    scratch_.patch.Resize(chunk_.size());
    MutableByteSpan ordinary(scratch_.patch.data(), chunk_.size());
    EncodedChunk encoded = EncodeChunk(head, level, chunk_index, chunk_, ordinary, scratch_);
    if (encoded.payload_bytes > best_.payload_bytes) return best_;
    std::memcpy(payload_.data(), ordinary.data(), encoded.payload_bytes);
    return encoded;
  }

 private:
  ByteSpan chunk_;
  MutableByteSpan payload_;
  uint64_t base_check_;
  CodecScratch::Impl& scratch_;
  EncodedChunk best_ = {CodecId::kStored, SIZE_MAX};
};

double DenseBits(const DenseSide& side, size_t chunk_bytes) {
  return side.expected_bits * static_cast<double>(chunk_bytes / Describe(side.layout).word_bytes) + 200;
}

std::optional<size_t> Written(size_t bytes) { return bytes == 0 ? std::nullopt : std::optional(bytes); }

uint64_t FirstElement(const RecordHead& head, uint64_t chunk_index) {
  return head.chunk_bytes / ElementBytes(head.dtype) * chunk_index;
}

uint64_t FirstDenseWord(const RecordHead& head, uint64_t chunk_index) {
  return FirstWord(head, Describe(head.side->patch->dense->layout).word_bytes, chunk_index);
}

Status DecodeFromBase(const RecordHead& head, uint64_t chunk_index, CodecId codec, ByteSpan payload,
                      ByteSpan base_chunk, MutableByteSpan chunk, CodecScratch::Impl& scratch, bool base_is_known) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint64_t base_check, cursor.Read<uint64_t>());
  if (!base_is_known && base_check != Xxh3(base_chunk))
    return Error{ErrorCode::kWrongBase, 0, "the base is not the one that this patch was made from"};
  payload = payload.subspan(kBaseCheckBytes);
  const PatchSide& side = *head.side->patch;
  const std::byte* predicted =
      PredictElements(side, FirstElement(head, chunk_index), base_chunk, chunk, scratch.predicted);
  const PatchWord word = PatchWordOf(head.dtype);
  switch (codec) {
    case CodecId::kPatchSame:
      if (!payload.empty()) return Error{ErrorCode::kCorrupt, kBaseCheckBytes, "a chunk like its base holds bytes"};
      if (predicted != chunk.data()) std::memcpy(chunk.data(), predicted, chunk.size());
      return {};
    case CodecId::kPatchDense:
      if (side.dense == nullptr)
        return Error{ErrorCode::kCorrupt, 0, "a dense chunk in a patch without the side information"};
      return DecodeDenseChunk(*side.dense, FirstDenseWord(head, chunk_index), payload, predicted, chunk, scratch);
    case CodecId::kPatchSparse:
      return DecodeSparseChunk(word, payload, predicted, chunk, scratch);
    case CodecId::kPatchDifferences:
      return DecodePatchDifferences(word, payload, predicted, chunk, scratch);
    case CodecId::kLossyPatch:
      if (predicted != chunk.data()) std::memcpy(chunk.data(), predicted, chunk.size());
      return DecodeLossyPatchChunk(head, chunk_index, payload, chunk, scratch);
    default:
      return Error{ErrorCode::kUnsupportedFeature, 0, "unknown codec " + std::to_string(static_cast<int>(codec))};
  }
}

}  // namespace

EncodedChunk EncodePatchChunk(const RecordHead& head, Level level, uint64_t chunk_index, ByteSpan chunk,
                              ByteSpan base_chunk, MutableByteSpan payload, CodecScratch::Impl& scratch) {
  const PatchSide& side = *head.side->patch;
  scratch.predicted.Resize(chunk.size());
  const std::byte* predicted = PredictElements(side, FirstElement(head, chunk_index), base_chunk,
                                               {scratch.predicted.data(), chunk.size()}, scratch.patch);
  PatchContest contest(chunk, payload, Xxh3(base_chunk), scratch);
  const PatchWord word = PatchWordOf(head.dtype);
  const size_t changed = CountChangedWords(word.bytes, chunk, predicted);
  if (changed == 0) {
    contest.Try(CodecId::kPatchSame, [](MutableByteSpan) { return size_t{0}; });
    return contest.Finish(head, level, chunk_index);
  }
  const size_t word_count = chunk.size() / word.bytes;
  const double sparse_bits = 3 * changed < word_count ? SparseBits(word_count, changed, word.bytes) : kTooManyBits;
  const double dense_bits = side.dense != nullptr ? DenseBits(*side.dense, chunk.size()) : kTooManyBits;
  if (side.dense != nullptr && dense_bits < kWorthATry * sparse_bits) {
    contest.Try(CodecId::kPatchDense, [&](MutableByteSpan target) {
      return Written(
          EncodeDenseChunk(*side.dense, FirstDenseWord(head, chunk_index), chunk, predicted, target, scratch));
    });
  }
  if (3 * changed < word_count && sparse_bits < kWorthATry * std::min(dense_bits, contest.bits())) {
    contest.Try(CodecId::kPatchSparse, [&](MutableByteSpan target) {
      return Written(EncodeSparseChunk(word, chunk, predicted, target, scratch));
    });
  }
  if (static_cast<double>(EstimatePatchDifferences(word, chunk, predicted, scratch)) * 8 < contest.bits()) {
    contest.Try(CodecId::kPatchDifferences, [&](MutableByteSpan target) {
      return Written(EncodePatchDifferences(word, chunk, predicted, target, scratch));
    });
  }
  return contest.Finish(head, level, chunk_index);
}

void PredictPatchChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan base_chunk, MutableByteSpan predicted) {
  Predict(head.side->patch->predictor, FirstElement(head, chunk_index), base_chunk, predicted);
}

Status DecodePatchChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                        ByteSpan base_chunk, MutableByteSpan chunk, CodecScratch::Impl& scratch, bool base_is_known) {
  auto known = static_cast<CodecId>(codec);
  if (NeedsBase(head, known))
    return DecodeFromBase(head, chunk_index, known, payload, base_chunk, chunk, scratch, base_is_known);
  if (known > CodecId::kPlanes)
    return Error{ErrorCode::kUnsupportedFeature, 0, "codec " + std::to_string(codec) + " in a patch"};
  return DecodeOrdinaryChunk(head, chunk_index, codec, payload, chunk, scratch);
}

}  // namespace flyweight
