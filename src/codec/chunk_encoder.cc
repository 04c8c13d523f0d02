#include "codec/chunk_encoder.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "codec/block_fields_codec.h"
#include "codec/class_codec.h"
#include "codec/float_codec.h"
#include "codec/lossy_codec.h"
#include "codec/mixed_codec.h"
#include "codec/palette_codec.h"
#include "codec/planes_codec.h"
#include "codec/scaled_codec.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr int kZstdLevel = 3;
constexpr size_t kSmallChunkBytes = size_t{1} << 15;
constexpr size_t kMinClassBytes = 2048;
constexpr size_t kRepeatSampleWords = 4096;
constexpr size_t kRepeatRunWords = 64;

bool IsConstant(ByteSpan chunk, size_t element_bytes) {
  size_t probe = std::min<size_t>(chunk.size() - element_bytes, 4096);
  if (std::memcmp(chunk.data(), chunk.data() + element_bytes, probe) != 0) return false;
  return std::memcmp(chunk.data(), chunk.data() + element_bytes, chunk.size() - element_bytes) == 0;
}

// Whether 8-byte words repeat their predecessor often enough in a sample that zstd's matches may beat entropy coding:
// zero rows, padding, copies.
bool LooksRepetitive(ByteSpan chunk) {
  size_t word_count = chunk.size() / 8;
  if (word_count < 2 * kRepeatRunWords) return true;
  size_t run_count = std::max<size_t>(1, std::min(kRepeatSampleWords, word_count) / kRepeatRunWords);
  size_t step = (word_count - kRepeatRunWords) / run_count;
  size_t repeated = 0;
  for (size_t r = 0; r < run_count; ++r) {
    const std::byte* run = chunk.data() + r * step * 8;
    for (size_t w = 1; w < kRepeatRunWords; ++w)
      repeated += LoadLe<uint64_t>(run + 8 * w) == LoadLe<uint64_t>(run + 8 * (w - 1));
  }
  return repeated * 16 > run_count * kRepeatRunWords;
}

// Keeps the smallest of several encodings of one chunk in `payload`; each may only write where it would win.
class Contest {
 public:
  Contest(ByteSpan chunk, MutableByteSpan payload, AlignedBuffer& trial)
      : chunk_(chunk), payload_(payload), trial_(trial) {}

  template <typename Encode>
  void Try(CodecId codec, const Encode& encode) {
    if (best_.payload_bytes == 0) {
      best_ = {codec, encode(payload_.first(std::min(payload_.size(), chunk_.size())))};
      return;
    }
    trial_.Resize(chunk_.size());
    size_t written = encode(MutableByteSpan(trial_.data(), chunk_.size()));
    if (written == 0 || written >= best_.payload_bytes) return;
    std::memcpy(payload_.data(), trial_.data(), written);
    best_ = {codec, written};
  }

  EncodedChunk Finish() {
    if (best_.payload_bytes != 0 && best_.payload_bytes < chunk_.size()) return best_;
    std::memcpy(payload_.data(), chunk_.data(), chunk_.size());
    return {CodecId::kStored, chunk_.size()};
  }

 private:
  ByteSpan chunk_;
  MutableByteSpan payload_;
  AlignedBuffer& trial_;
  EncodedChunk best_;
};

bool IsFloat(DType dtype) { return Describe(dtype).exponent_bits != 0 && Describe(dtype).bits >= 16; }

// Whether a part of the words is zero or all have one sign, which codecs of whole words do not see.
bool HasZerosOrOneSign(ByteSpan chunk, size_t word_bytes) {
  if (word_bytes == 1) return true;  // floats of 8 bits: no other codec sees their fields
  constexpr size_t kGlanceWords = 1024;
  size_t word_count = chunk.size() / word_bytes;
  size_t step = std::max<size_t>(1, word_count / kGlanceWords);
  size_t zeros = 0, negative = 0, seen = 0;
  for (size_t i = 0; i < word_count; i += step, ++seen) {
    const std::byte* top = chunk.data() + (i + 1) * word_bytes - 2;
    auto head = LoadLe<uint16_t>(top);
    zeros += (head & 0x7FFF) == 0;
    negative += head >> 15;
  }
  return zeros * 50 > seen || negative == 0 || negative == seen;
}

// The side information of chunks that are coded in classes where the record has none.
ClassSide PlainClassSide(DType dtype) {
  ClassSide side;
  side.layout = *ClassLayoutOf(dtype);
  return side;
}

uint64_t FirstClassWord(const RecordHead& head, const ClassSide& side, uint64_t chunk_index) {
  return head.chunk_bytes / Describe(side.layout).word_bytes * chunk_index;
}

uint64_t FirstWord(const RecordHead& head, uint64_t chunk_index) {
  return head.chunk_bytes / Describe(head.side->floats->layout).word_bytes * chunk_index;
}

ScaledPlace PlaceOf(const RecordHead& head, uint64_t chunk_index) {
  const uint64_t element_bytes = ElementBytes(head.dtype);
  return {chunk_index * (head.chunk_bytes / element_bytes), head.decoded_bytes / element_bytes};
}

Status DecodeScaled(DType dtype, ByteSpan payload, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  std::optional<ScaledWord> word = ScaledWordOf(dtype);
  if (!word) return Error{ErrorCode::kCorrupt, 0, "scaled integers in a record of another dtype"};
  return DecodeScaledChunk(*word, payload, chunk, scratch);
}

// Values that were quantised and are kept in wider elements.
void TryQuantised(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, Contest& contest,
                  CodecScratch::Impl& scratch) {
  const size_t element_bytes = ElementBytes(head.dtype);
  if (element_bytes >= 2) {
    contest.Try(CodecId::kPalette,
                [&](MutableByteSpan target) { return EncodePaletteChunk(chunk, element_bytes, target, scratch); });
  }
  if (std::optional<ScaledWord> word = ScaledWordOf(head.dtype)) {
    contest.Try(CodecId::kScaled, [&](MutableByteSpan target) {
      return EncodeScaledChunk(*word, PlaceOf(head, chunk_index), chunk, target, scratch);
    });
  }
}

void TryMixed(const RecordHead& head, uint64_t chunk_index, ByteSpan chunk, Contest& contest,
              CodecScratch::Impl& scratch) {
  std::optional<MixedLayout> layout = MixedLayoutOf(head.dtype);
  if (!layout || chunk.size() < kMinMixedWords * layout->word_bytes) return;
  MixedGeometry geometry{head.side->hint_columns, head.chunk_bytes / layout->word_bytes * chunk_index};
  contest.Try(CodecId::kMixed,
              [&](MutableByteSpan target) { return EncodeMixedChunk(*layout, geometry, chunk, target, scratch); });
}

// The codecs that are simple enough to hash the chunk after it is whole.
Status DecodeSimpleChunk(const RecordHead& head, uint8_t codec, ByteSpan payload, MutableByteSpan chunk,
                         CodecScratch::Impl& scratch) {
  const size_t element_bytes = ElementBytes(head.dtype);
  switch (codec) {
    case static_cast<uint8_t>(CodecId::kStored):
      if (payload.size() != chunk.size()) return Error{ErrorCode::kCorrupt, 0, "a stored chunk has the wrong size"};
      if (!chunk.empty()) std::memcpy(chunk.data(), payload.data(), chunk.size());
      return {};
    case static_cast<uint8_t>(CodecId::kConstant):
      if (payload.size() != element_bytes)
        return Error{ErrorCode::kCorrupt, 0, "a constant chunk does not hold one element"};
      for (size_t i = 0; i < chunk.size(); i += element_bytes)
        std::memcpy(chunk.data() + i, payload.data(), element_bytes);
      return {};
    case static_cast<uint8_t>(CodecId::kZstd):
      return scratch.planes.zstd.Decode(payload, chunk);
    case static_cast<uint8_t>(CodecId::kPlanes):
      return DecodePlanesChunk(payload, element_bytes, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kMixed): {
      std::optional<MixedLayout> layout = MixedLayoutOf(head.dtype);
      if (!layout) return Error{ErrorCode::kCorrupt, 0, "a mixed chunk in a record that holds no floats"};
      return DecodeMixedChunk(*layout, payload, chunk, scratch);
    }
    case static_cast<uint8_t>(CodecId::kPalette):
      return DecodePaletteChunk(payload, element_bytes, chunk, scratch);
    case static_cast<uint8_t>(CodecId::kScaled):
      return DecodeScaled(head.dtype, payload, chunk, scratch);
    default:
      return Error{ErrorCode::kUnsupportedFeature, 0, "unknown codec " + std::to_string(codec)};
  }
}

}  // namespace

EncodedChunk EncodeChunk(const RecordHead& head, Level level, uint64_t chunk_index, ByteSpan chunk,
                         MutableByteSpan payload, CodecScratch::Impl& scratch) {
  size_t element_bytes = ElementBytes(head.dtype);
  if (chunk.size() > element_bytes && IsConstant(chunk, element_bytes)) {
    std::memcpy(payload.data(), chunk.data(), element_bytes);
    return {CodecId::kConstant, element_bytes};
  }

  Contest contest(chunk, payload, scratch.trial);
  bool float_fields =
      head.side->floats && chunk.size() / Describe(head.side->floats->layout).word_bytes >= kHeadIteration;
  bool small = chunk.size() <= kSmallChunkBytes;
  auto try_classes = [&](const ClassSide& side) {
    contest.Try(CodecId::kClasses, [&](MutableByteSpan target) {
      return EncodeClassChunk(side, head.dtype, FirstClassWord(head, side, chunk_index), chunk, target, scratch);
    });
  };
  bool in_classes = head.side->classes.has_value();
  bool all_codecs = !head.side->first_codecs_only && level != Level::kFast;
  if (in_classes) {
    try_classes(*head.side->classes);
  } else if (all_codecs && ClassLayoutOf(head.dtype).has_value() && chunk.size() >= kMinClassBytes &&
             HasZerosOrOneSign(chunk, Describe(*ClassLayoutOf(head.dtype)).word_bytes)) {
    try_classes(PlainClassSide(head.dtype));
  }
  bool repetitive = LooksRepetitive(chunk) || (head.side->blocks && BlocksRepeat(*head.side->blocks->layout, chunk));
  if (float_fields) {
    contest.Try(CodecId::kFloat, [&](MutableByteSpan target) {
      return EncodeFloatChunk(*head.side->floats, level, FirstWord(head, chunk_index), chunk, target, scratch);
    });
  }
  if (head.side->blocks) {
    contest.Try(CodecId::kBlockFields, [&](MutableByteSpan target) {
      return EncodeBlockFieldsChunk(*head.side->blocks->layout, head.chunk_bytes * chunk_index, chunk, target, scratch);
    });
  }
  bool is_structured = float_fields || in_classes || head.side->blocks;
  if (!is_structured || (small && level != Level::kFast)) {
    bool rotate = IsFloat(head.dtype);
    contest.Try(CodecId::kPlanes, [&](MutableByteSpan target) {
      return EncodePlanesChunk(chunk, element_bytes, rotate, target, scratch);
    });
  }
  if ((!IsFloat(head.dtype) && !is_structured) || repetitive || (small && head.side->blocks)) {
    contest.Try(CodecId::kZstd,
                [&](MutableByteSpan target) { return scratch.planes.zstd.Encode(chunk, target, kZstdLevel); });
  }
  if (all_codecs) TryQuantised(head, chunk_index, chunk, contest, scratch);
  if (level == Level::kMax) TryMixed(head, chunk_index, chunk, contest, scratch);
  return contest.Finish();
}

Result<uint64_t> DecodeChunkPayload(const RecordHead& head, uint64_t chunk_index, uint8_t codec, ByteSpan payload,
                                    MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  if (head.side->lossy) {
    FLYWEIGHT_TRY(DecodeLossyChunk(head, chunk_index, codec, payload, chunk, scratch));
    return Xxh3(chunk);
  }
  if (codec == static_cast<uint8_t>(CodecId::kFloat)) {
    if (!head.side->floats) return Error{ErrorCode::kCorrupt, 0, "a float chunk in a record without float fields"};
    uint64_t checksum = 0;
    FLYWEIGHT_TRY(
        DecodeFloatChunk(*head.side->floats, FirstWord(head, chunk_index), payload, chunk, scratch, checksum));
    return checksum;
  }
  if (codec == static_cast<uint8_t>(CodecId::kClasses)) {
    if (!ClassLayoutOf(head.dtype)) return Error{ErrorCode::kCorrupt, 0, "a class chunk of words that have no classes"};
    const ClassSide plain = PlainClassSide(head.dtype);
    const ClassSide& side = head.side->classes ? *head.side->classes : plain;
    FLYWEIGHT_TRY(DecodeClassChunk(side, FirstClassWord(head, side, chunk_index), payload, chunk, scratch));
    return Xxh3(chunk);
  }
  if (codec == static_cast<uint8_t>(CodecId::kBlockFields)) {
    if (!head.side->blocks) return Error{ErrorCode::kCorrupt, 0, "block fields in a record that has no blocks"};
    FLYWEIGHT_TRY(
        DecodeBlockFieldsChunk(*head.side->blocks->layout, head.chunk_bytes * chunk_index, payload, chunk, scratch));
    return Xxh3(chunk);
  }
  FLYWEIGHT_TRY(DecodeSimpleChunk(head, codec, payload, chunk, scratch));
  return Xxh3(chunk);
}

}  // namespace flyweight
