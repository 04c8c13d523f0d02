#include "codec/lossy_codec.h"

#include <string>

#include "base/checked.h"
#include "codec/scratch.h"
#include "lossy/quantise.h"
#include "transform/byte_planes/byte_planes.h"

namespace flyweight {
namespace {

constexpr uint8_t kFirstLossyCodec = static_cast<uint8_t>(CodecId::kLossyStored);
constexpr uint8_t kLastHalvesCodec = static_cast<uint8_t>(CodecId::kLossyFloat);
constexpr size_t kWordBytes = 2;

/// Where the parts of a chunk lie in scratch.quantised: codes, scales, minima, and room for the planes of the words.
struct BlockBuffers {
  BlockBuffers(const LossyChoice& choice, size_t elements, AlignedBuffer& buffer)
      : element_count(elements), block_count(static_cast<size_t>(CeilDiv(elements, choice.block))) {
    size_t words_at = (element_count + 63) / 64 * 64;
    size_t words_bytes = (block_count * kWordBytes + 63) / 64 * 64;
    buffer.Resize(words_at + 3 * words_bytes);
    codes = buffer.data();
    scales = codes + words_at;
    minima = choice.has_minimum ? scales + words_bytes : nullptr;
    planes = scales + 2 * words_bytes;
  }

  QuantisedChunk parts() const {
    return {reinterpret_cast<uint8_t*>(codes), reinterpret_cast<uint16_t*>(scales),
            reinterpret_cast<uint16_t*>(minima)};
  }

  size_t element_count;
  size_t block_count;
  std::byte* codes;
  std::byte* scales;
  std::byte* minima;
  std::byte* planes;
};

/// Appends the two planes of some words, rotated so that exponents fill the second.
size_t EncodeWords(const std::byte* words, const BlockBuffers& buffers, MutableByteSpan target, PlaneScratch& scratch) {
  SplitPlanes(words, buffers.block_count, kWordBytes, true, buffers.planes);
  size_t size = 0;
  for (size_t p = 0; p < kWordBytes; ++p) {
    ByteSpan plane(buffers.planes + p * buffers.block_count, buffers.block_count);
    size += EncodePlane(plane, target.subspan(size), scratch);
  }
  return size;
}

Status DecodeWords(ReadCursor& cursor, const BlockBuffers& buffers, std::byte* words, PlaneScratch& scratch) {
  const std::byte* planes[kWordBytes];
  for (size_t p = 0; p < kWordBytes; ++p) {
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, buffers.block_count));
    std::byte* plane = buffers.planes + p * buffers.block_count;
    FLYWEIGHT_TRY(DecodePlane(coded, {plane, buffers.block_count}, scratch));
    planes[p] = plane;
  }
  MergePlanes(planes, buffers.block_count, kWordBytes, true, words);
  return {};
}

EncodedChunk EncodeBlocks(const LossyChoice& choice, DType dtype, ByteSpan chunk, MutableByteSpan payload,
                          MutableByteSpan restored, CodecScratch::Impl& scratch) {
  BlockBuffers buffers(choice, chunk.size() / ElementBytes(dtype), scratch.quantised);
  QuantiseChunk(choice, dtype, chunk, buffers.parts());
  DequantiseChunk(choice, dtype, buffers.parts(), restored);
  size_t size = EncodePlane({buffers.codes, buffers.element_count}, payload, scratch.planes);
  size += EncodeWords(buffers.scales, buffers, payload.subspan(size), scratch.planes);
  if (choice.has_minimum) size += EncodeWords(buffers.minima, buffers, payload.subspan(size), scratch.planes);
  return {CodecId::kLossyBlocks, size};
}

bool IsFiniteBF16(uint16_t word) { return (word & 0x7F80) != 0x7F80; }

Status CheckParts(const LossyChoice& choice, const BlockBuffers& buffers, const QuantisedChunk& parts) {
  if (LargestCode(parts.codes, buffers.element_count) > HighestCode(choice))
    return Error{ErrorCode::kCorrupt, 0, "quantised blocks: a code of more than " + NameOf(choice) + " has"};
  bool is_sound = true;
  for (size_t b = 0; b < buffers.block_count; ++b) {
    is_sound &= IsFiniteBF16(parts.scales[b]) && parts.scales[b] >> 15 == 0;
    if (choice.has_minimum) is_sound &= IsFiniteBF16(parts.minima[b]);
  }
  if (is_sound) return {};
  return Error{ErrorCode::kCorrupt, 0, "quantised blocks: a scale or minimum that is none"};
}

Status DecodeBlocks(const LossyChoice& choice, DType dtype, ByteSpan payload, MutableByteSpan chunk,
                    CodecScratch::Impl& scratch) {
  BlockBuffers buffers(choice, chunk.size() / ElementBytes(dtype), scratch.quantised);
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(CodedPlane codes, ReadCodedPlane(cursor, buffers.element_count));
  FLYWEIGHT_TRY(DecodePlane(codes, {buffers.codes, buffers.element_count}, scratch.planes));
  FLYWEIGHT_TRY(DecodeWords(cursor, buffers, buffers.scales, scratch.planes));
  if (choice.has_minimum) FLYWEIGHT_TRY(DecodeWords(cursor, buffers, buffers.minima, scratch.planes));
  if (cursor.remaining() != 0)
    return Error{ErrorCode::kCorrupt, cursor.offset(), "quantised blocks: bytes are left over"};
  FLYWEIGHT_TRY(CheckParts(choice, buffers, buffers.parts()));
  DequantiseChunk(choice, dtype, buffers.parts(), chunk);
  return {};
}

MutableByteSpan HalvesOf(DType dtype, size_t chunk_bytes, CodecScratch::Impl& scratch) {
  size_t size = chunk_bytes / ElementBytes(dtype) * kWordBytes;
  scratch.quantised.Resize(size);
  return {scratch.quantised.data(), size};
}

}  // namespace

EncodedChunk EncodeLossyChunk(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan payload,
                              MutableByteSpan restored, CodecScratch::Impl& scratch) {
  const LossySide& side = *head.side->lossy;
  if (side.choice.method == LossyMethod::kBlocks)
    return EncodeBlocks(side.choice, head.dtype, chunk, payload, restored, scratch);
  MutableByteSpan halves = HalvesOf(head.dtype, chunk.size(), scratch);
  NarrowChunk(side.choice.method, head.dtype, chunk, halves.data());
  WidenChunk(side.choice.method, head.dtype, halves.data(), restored);
  // At other levels there are codecs that have no number among the lossy ones.
  EncodedChunk encoded =
      EncodeChunk(side.halves, Level::kBalanced, chunk_index, halves, payload.first(halves.size()), scratch);
  encoded.codec = static_cast<CodecId>(kFirstLossyCodec + static_cast<uint8_t>(encoded.codec));
  return encoded;
}

Status DecodeLossyChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                        MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  const LossySide& side = *head.side->lossy;
  bool is_blocks = side.choice.method == LossyMethod::kBlocks;
  bool fits = is_blocks ? codec == static_cast<uint8_t>(CodecId::kLossyBlocks)
                        : codec >= kFirstLossyCodec && codec <= kLastHalvesCodec;
  if (!fits) {
    return Error{ErrorCode::kUnsupportedFeature, 0,
                 "codec " + std::to_string(codec) + " in a record of " + NameOf(side.choice)};
  }
  if (is_blocks) return DecodeBlocks(side.choice, head.dtype, payload, chunk, scratch);
  MutableByteSpan halves = HalvesOf(head.dtype, chunk.size(), scratch);
  auto inner_codec = static_cast<uint8_t>(codec - kFirstLossyCodec);
  FLYWEIGHT_TRY(DecodeChunkPayload(side.halves, chunk_index, inner_codec, payload, halves, scratch));
  WidenChunk(side.choice.method, head.dtype, halves.data(), chunk);
  return {};
}

}  // namespace flyweight
