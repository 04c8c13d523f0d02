#include <cstring>
#include <string>

#include "codec/block_fields_codec.h"
#include "codec/chunk_encoder.h"
#include "codec/class_codec.h"
#include "codec/differences_codec.h"
#include "codec/float_codec.h"
#include "codec/lossy_codec.h"
#include "codec/mixed_codec.h"
#include "codec/palette_codec.h"
#include "codec/planes_codec.h"
#include "codec/scaled_codec.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

Status DecodeStored(ByteSpan payload, MutableByteSpan chunk) {
  if (payload.size() != chunk.size()) return Error{ErrorCode::kCorrupt, 0, "a stored chunk has the wrong size"};
  if (!chunk.empty()) std::memcpy(chunk.data(), payload.data(), chunk.size());
  return {};
}

Status DecodeConstant(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk) {
  if (payload.size() != element_bytes)
    return Error{ErrorCode::kCorrupt, 0, "a constant chunk does not hold one element"};
  for (size_t i = 0; i < chunk.size(); i += element_bytes) std::memcpy(chunk.data() + i, payload.data(), element_bytes);
  return {};
}

Status DecodeClasses(const RecordHead& head, uint64_t chunk_index, ByteSpan payload, MutableByteSpan chunk,
                     CodecScratch::Impl& scratch) {
  std::optional<ClassLayout> layout = ClassLayoutOf(head.dtype);
  if (!layout) return Error{ErrorCode::kCorrupt, 0, "a class chunk of words that have no classes"};
  const ClassSide plain = PlainClassSide(*layout);
  const ClassSide& side = head.side->classes ? *head.side->classes : plain;
  uint64_t first_word = FirstWord(head, Describe(*layout).word_bytes, chunk_index);
  return DecodeClassChunk(side, first_word, payload, chunk, scratch);
}

Status DecodeMixed(DType dtype, ByteSpan payload, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  std::optional<MixedLayout> layout = MixedLayoutOf(dtype);
  if (!layout) return Error{ErrorCode::kCorrupt, 0, "a mixed chunk in a record that holds no floats"};
  return DecodeMixedChunk(*layout, payload, chunk, scratch);
}

Status DecodeScaled(DType dtype, ByteSpan payload, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  std::optional<ScaledWord> word = ScaledWordOf(dtype);
  if (!word) return Error{ErrorCode::kCorrupt, 0, "scaled integers in a record of another dtype"};
  return DecodeScaledChunk(*word, payload, chunk, scratch);
}

Status DecodeBlockFields(const RecordHead& head, uint64_t chunk_index, ByteSpan payload, MutableByteSpan chunk,
                         CodecScratch::Impl& scratch) {
  if (!head.side->blocks) return Error{ErrorCode::kCorrupt, 0, "block fields in a record that has no blocks"};
  return DecodeBlockFieldsChunk(*head.side->blocks->layout, head.chunk_bytes * chunk_index, payload, chunk, scratch);
}

}  // namespace

Status DecodeOrdinaryChunk(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                           MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  const size_t element_bytes = ElementBytes(head.dtype);
  switch (codec) {
    case static_cast<uint8_t>(CodecId::kStored):
      return DecodeStored(payload, chunk);
    case static_cast<uint8_t>(CodecId::kConstant):
      return DecodeConstant(payload, element_bytes, chunk);
    case static_cast<uint8_t>(CodecId::kZstd):
      return scratch.planes.zstd.Decode(payload, chunk);
    case static_cast<uint8_t>(CodecId::kPlanes):
      return DecodePlanesChunk(payload, element_bytes, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kClasses):
      return DecodeClasses(head, chunk_index, payload, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kMixed):
      return DecodeMixed(head.dtype, payload, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kPalette):
      return DecodePaletteChunk(payload, element_bytes, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kScaled):
      return DecodeScaled(head.dtype, payload, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kBlockFields):
      return DecodeBlockFields(head, chunk_index, payload, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kDifferences):
      return DecodeDifferencesChunk(payload, element_bytes, chunk, scratch);
    default:
      return Error{ErrorCode::kUnsupportedFeature, 0, "unknown codec " + std::to_string(codec)};
  }
}

Result<uint64_t> DecodeChunkPayload(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                                    MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  if (head.side->patch) return Error{ErrorCode::kWrongBase, 0, "this is a patch, which takes its base to decode"};
  if (head.side->lossy) {
    FLYWEIGHT_TRY(DecodeLossyChunk(head, chunk_index, codec, payload, chunk, scratch));
    return Xxh3(chunk);
  }
  if (codec == static_cast<uint8_t>(CodecId::kFloat)) {
    if (!head.side->floats) return Error{ErrorCode::kCorrupt, 0, "a float chunk in a record without float fields"};
    const FloatSide& side = *head.side->floats;
    uint64_t checksum = 0;
    FLYWEIGHT_TRY(DecodeFloatChunk(side, FirstWord(head, Describe(side.layout).word_bytes, chunk_index), payload, chunk,
                                   scratch, checksum));
    return checksum;
  }
  FLYWEIGHT_TRY(DecodeOrdinaryChunk(head, chunk_index, codec, payload, chunk, scratch));
  return Xxh3(chunk);
}

}  // namespace flyweight
