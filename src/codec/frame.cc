#include <cstring>
#include <string>

#include "codec/chunk_encoder.h"
#include "codec/lossy_codec.h"
#include "codec/lossy_patch_codec.h"
#include "codec/lossy_patch_record.h"
#include "codec/lossy_record.h"
#include "codec/patch_chunk.h"
#include "codec/patch_record.h"
#include "codec/record.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr uint64_t kPayloadSlackBytes = 64;
constexpr size_t kCodecOffset = 4;
constexpr size_t kDecodedHashOffset = 8;
constexpr size_t kEncodedHashOffset = 16;

// Of the first 16 bytes and the payload, which do not lie side by side: the hash of the payload takes the place of the
// encoded checksum while hashing.
uint64_t EncodedChecksum(ByteSpan frame) {
  std::byte head_and_payload_hash[kFrameHeaderBytes];
  std::memcpy(head_and_payload_hash, frame.data(), kEncodedHashOffset);
  StoreLe(head_and_payload_hash + kEncodedHashOffset, Xxh3(frame.subspan(kFrameHeaderBytes)));
  return Xxh3(head_and_payload_hash);
}

Status CheckSize(ByteSpan frame, const ChunkEntry& entry) {
  if (frame.size() < kFrameHeaderBytes) return Error{ErrorCode::kTruncated, 0, "a frame is cut off"};
  if (frame.size() != entry.frame_bytes || LoadLe<uint32_t>(frame.data()) != frame.size() - kFrameHeaderBytes) {
    return Error{ErrorCode::kCorrupt, 0, "a frame has another size than its chunk table says"};
  }
  return {};
}

Status CheckStoredBytes(ByteSpan frame) {
  if (LoadLe<uint64_t>(frame.data() + kEncodedHashOffset) == EncodedChecksum(frame)) return {};
  return Error{ErrorCode::kChecksumMismatch, kEncodedHashOffset, "a frame's stored bytes are damaged"};
}

Status CheckHeader(ByteSpan frame, const ChunkEntry& entry) {
  for (size_t i = kCodecOffset + 1; i < kDecodedHashOffset; ++i) {
    if (frame[i] != std::byte{0}) return Error{ErrorCode::kUnsupportedFeature, i, "a frame uses reserved bytes"};
  }
  if (LoadLe<uint64_t>(frame.data() + kDecodedHashOffset) != entry.decoded_xxh3) {
    return Error{ErrorCode::kCorrupt, kDecodedHashOffset, "a frame is not the one its chunk table names"};
  }
  return {};
}

// Writes the header of a frame whose payload is there already.
ChunkEntry FinishFrame(const EncodedChunk& encoded, uint64_t decoded_xxh3, MutableByteSpan frame) {
  ChunkEntry entry;
  entry.decoded_xxh3 = decoded_xxh3;
  entry.frame_bytes = static_cast<uint32_t>(kFrameHeaderBytes + encoded.payload_bytes);
  std::memset(frame.data(), 0, kFrameHeaderBytes);
  StoreLe(frame.data(), static_cast<uint32_t>(encoded.payload_bytes));
  StoreLe(frame.data() + kCodecOffset, static_cast<uint8_t>(encoded.codec));
  StoreLe(frame.data() + kDecodedHashOffset, entry.decoded_xxh3);
  StoreLe(frame.data() + kEncodedHashOffset, EncodedChecksum(frame.first(entry.frame_bytes)));
  return entry;
}

// The frame with readable bytes behind it, copied where it has none.
ByteSpan Padded(ByteSpan frame, size_t readable_bytes, CodecScratch& scratch) {
  if (readable_bytes >= frame.size() + kDecodePaddingBytes) return frame;
  AlignedBuffer& padded = scratch.impl().padded;
  padded.Resize(frame.size() + kDecodePaddingBytes);
  std::memcpy(padded.data(), frame.data(), frame.size());
  std::memset(padded.data() + frame.size(), 0, kDecodePaddingBytes);
  return {padded.data(), frame.size()};
}

// Checks a frame, has `decode(codec, payload)` give the checksum of what it decoded, and compares that.
template <typename Decode>
Status DecodeChecked(ByteSpan frame, size_t readable_bytes, const ChunkEntry& entry, CodecScratch& scratch,
                     StoredCheck stored_check, const Decode& decode) {
  FLYWEIGHT_TRY(CheckSize(frame, entry));
  if (stored_check == StoredCheck::kAlways) FLYWEIGHT_TRY(CheckStoredBytes(frame));
  auto decode_sized = [&]() -> Status {
    FLYWEIGHT_TRY(CheckHeader(frame, entry));
    ByteSpan padded = Padded(frame, readable_bytes, scratch);
    FLYWEIGHT_ASSIGN(uint64_t checksum,
                     decode(static_cast<uint8_t>(padded[kCodecOffset]), padded.subspan(kFrameHeaderBytes)));
    if (checksum == entry.decoded_xxh3) return {};
    return Error{ErrorCode::kChecksumMismatch, kDecodedHashOffset,
                 "a chunk's decoded bytes do not match their checksum"};
  };
  Status decoded = decode_sized();
  // Whatever decoding stumbled over, damage is the better explanation.
  if (!decoded.ok() && stored_check == StoredCheck::kOnFailure) FLYWEIGHT_TRY(CheckStoredBytes(frame));
  return decoded;
}

}  // namespace

uint64_t FrameBound(uint64_t decoded_bytes) { return kFrameHeaderBytes + decoded_bytes + kPayloadSlackBytes; }

ChunkEntry EncodeFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan frame,
                       CodecScratch& scratch) {
  if (plan.head.side->lossy) {
    AlignedBuffer& restored = scratch.impl().restored;
    restored.Resize(chunk.size());
    return EncodeLossyFrame(plan, chunk_index, chunk, frame, {restored.data(), chunk.size()}, scratch);
  }
  MutableByteSpan payload = frame.subspan(kFrameHeaderBytes);
  // Hashing comes first: it reads a chunk as fast as memory gives it, and leaves it in the cache for what follows.
  uint64_t decoded_xxh3 = Xxh3(chunk);
  return FinishFrame(EncodeChunk(plan.head, plan.level, chunk_index, chunk, payload, scratch.impl()), decoded_xxh3,
                     frame);
}

ChunkEntry EncodeLossyFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan frame,
                            MutableByteSpan restored, CodecScratch& scratch) {
  MutableByteSpan payload = frame.subspan(kFrameHeaderBytes);
  EncodedChunk encoded = EncodeLossyChunk(plan.head, chunk_index, chunk, payload, restored, scratch.impl());
  return FinishFrame(encoded, Xxh3(restored), frame);
}

LossyPatchFrame EncodeLossyPatchFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, ByteSpan base_chunk,
                                      MutableByteSpan frame, MutableByteSpan restored, CodecScratch& scratch) {
  MutableByteSpan payload = frame.subspan(kFrameHeaderBytes, chunk.size());
  PredictPatchChunk(plan.head, chunk_index, base_chunk, restored);
  const double squared_change = SquaredDistance(plan.head.dtype, chunk, restored);
  size_t written = EncodeLossyPatchChunk(plan.head, chunk_index, chunk, restored, Xxh3(base_chunk), payload, restored,
                                         scratch.impl());
  if (written != 0) return {FinishFrame({CodecId::kLossyPatch, written}, Xxh3(restored), frame), squared_change};
  if (!chunk.empty()) std::memcpy(restored.data(), chunk.data(), chunk.size());
  return {EncodePatchFrame(plan, chunk_index, chunk, base_chunk, frame, scratch), squared_change};
}

ChunkEntry EncodePatchFrame(const RecordPlan& plan, uint64_t chunk_index, ByteSpan chunk, ByteSpan base_chunk,
                            MutableByteSpan frame, CodecScratch& scratch) {
  MutableByteSpan payload = frame.subspan(kFrameHeaderBytes);
  uint64_t decoded_xxh3 = Xxh3(chunk);
  return FinishFrame(EncodePatchChunk(plan.head, plan.level, chunk_index, chunk, base_chunk, payload, scratch.impl()),
                     decoded_xxh3, frame);
}

Status DecodeFrame(const RecordHead& head, uint64_t chunk_index, ByteSpan frame, size_t readable_bytes,
                   const ChunkEntry& entry, MutableByteSpan target, CodecScratch& scratch, StoredCheck stored_check) {
  auto decode = [&](uint8_t codec, ByteSpan payload) {
    return DecodeChunkPayload(head, chunk_index, codec, payload, target, scratch.impl());
  };
  return DecodeChecked(frame, readable_bytes, entry, scratch, stored_check, decode);
}

Status DecodePatchFrame(const RecordHead& head, uint64_t chunk_index, ByteSpan frame, size_t readable_bytes,
                        const ChunkEntry& entry, ByteSpan base_chunk, MutableByteSpan target, CodecScratch& scratch,
                        StoredCheck stored_check, PatchTrust trust) {
  if (!head.side->patch)
    return DecodeFrame(head, chunk_index, frame, readable_bytes, entry, target, scratch, stored_check);
  if (base_chunk.size() != BaseRangeOf(head, chunk_index).size_bytes)
    return Error{ErrorCode::kWrongBase, 0, "the base has another size than the one that this patch was made from"};
  auto decode = [&](uint8_t codec, ByteSpan payload) -> Result<uint64_t> {
    FLYWEIGHT_TRY(
        DecodePatchChunk(head, chunk_index, codec, payload, base_chunk, target, scratch.impl(), trust.base_is_known));
    return trust.result ? entry.decoded_xxh3 : Xxh3(target);
  };
  return DecodeChecked(frame, readable_bytes, entry, scratch, stored_check, decode);
}

Status ScrubFrame(ByteSpan frame, const ChunkEntry& entry) {
  FLYWEIGHT_TRY(CheckSize(frame, entry));
  FLYWEIGHT_TRY(CheckStoredBytes(frame));
  return CheckHeader(frame, entry);
}

}  // namespace flyweight
