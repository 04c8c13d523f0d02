#include "codec/patch_chunk.h"

#include <cstring>
#include <string>

#include "base/hash.h"
#include "codec/lossy_patch_codec.h"
#include "codec/lossy_patch_record.h"
#include "codec/patch_differences.h"
#include "codec/patch_record.h"
#include "codec/planes_codec.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr size_t kBaseCheckBytes = sizeof(uint64_t);

bool NeedsBase(const RecordHead& head, CodecId codec) {
  if (codec == CodecId::kLossyPatch) return IsLossyPatch(head);
  return codec >= CodecId::kPatchSame && codec <= CodecId::kPatchDifferences;
}

// What the base lets expect of a chunk, in the chunk's own words: the base itself where that is all, else in `room`.
const std::byte* Predict(ByteSpan base_chunk, MutableByteSpan room) {
  if (base_chunk.size() == room.size()) return base_chunk.data();
  if (!base_chunk.empty() && base_chunk.data() != room.data())
    std::memcpy(room.data(), base_chunk.data(), base_chunk.size());
  std::memset(room.data() + base_chunk.size(), 0, room.size() - base_chunk.size());
  return room.data();
}

Status DecodeFromBase(const RecordHead& head, uint64_t chunk_index, CodecId codec, ByteSpan payload,
                      ByteSpan base_chunk, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint64_t base_check, cursor.Read<uint64_t>());
  if (base_check != Xxh3(base_chunk))
    return Error{ErrorCode::kWrongBase, 0, "the base is not the one that this patch was made from"};
  payload = payload.subspan(kBaseCheckBytes);
  const std::byte* predicted = Predict(base_chunk, chunk);
  const PatchWord word = PatchWordOf(head.dtype);
  switch (codec) {
    case CodecId::kPatchSame:
      if (!payload.empty()) return Error{ErrorCode::kCorrupt, kBaseCheckBytes, "a chunk like its base holds bytes"};
      if (predicted != chunk.data()) std::memcpy(chunk.data(), predicted, chunk.size());
      return {};
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
  scratch.predicted.Resize(chunk.size());
  const std::byte* predicted = Predict(base_chunk, {scratch.predicted.data(), chunk.size()});
  if (chunk.size() > kBaseCheckBytes) {
    StoreLe(payload.data(), Xxh3(base_chunk));
    MutableByteSpan rest = payload.first(chunk.size()).subspan(kBaseCheckBytes);
    if (std::memcmp(chunk.data(), predicted, chunk.size()) == 0) return {CodecId::kPatchSame, kBaseCheckBytes};
    size_t written = EncodePatchDifferences(PatchWordOf(head.dtype), chunk, predicted, rest, scratch);
    if (written != 0 && written < chunk.size() / 2) return {CodecId::kPatchDifferences, kBaseCheckBytes + written};
    if (written != 0) {
      scratch.padded.Resize(kBaseCheckBytes + written);
      std::memcpy(scratch.padded.data(), payload.data(), kBaseCheckBytes + written);
      EncodedChunk plain = EncodeChunk(head, level, chunk_index, chunk, payload, scratch);
      if (plain.payload_bytes <= kBaseCheckBytes + written) return plain;
      std::memcpy(payload.data(), scratch.padded.data(), kBaseCheckBytes + written);
      return {CodecId::kPatchDifferences, kBaseCheckBytes + written};
    }
  }
  return EncodeChunk(head, level, chunk_index, chunk, payload, scratch);
}

void PredictPatchChunk(const RecordHead&, uint64_t, ByteSpan base_chunk, MutableByteSpan predicted) {
  const std::byte* expected = Predict(base_chunk, predicted);
  if (expected != predicted.data()) std::memcpy(predicted.data(), expected, predicted.size());
}

Status DecodePatchChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                        ByteSpan base_chunk, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  auto known = static_cast<CodecId>(codec);
  if (NeedsBase(head, known)) return DecodeFromBase(head, chunk_index, known, payload, base_chunk, chunk, scratch);
  if (known > CodecId::kPlanes)
    return Error{ErrorCode::kUnsupportedFeature, 0, "codec " + std::to_string(codec) + " in a patch"};
  return DecodeOrdinaryChunk(head, chunk_index, codec, payload, chunk, scratch);
}

}  // namespace flyweight
