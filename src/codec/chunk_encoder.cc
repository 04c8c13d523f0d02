#include "codec/chunk_encoder.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/block_fields_codec.h"
#include "codec/class_codec.h"
#include "codec/differences_codec.h"
#include "codec/float_codec.h"
#include "codec/mixed_codec.h"
#include "codec/palette_codec.h"
#include "codec/planes_codec.h"
#include "codec/scaled_codec.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

// By Level. Beside weights lie tokenizers and other text, which pay for effort.
constexpr int kZstdLevels[] = {1, 3, 12, 19};
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

  /// Whether what stands yet takes nearly as much as the chunk itself.
  bool IsPoor() const { return best_.payload_bytes == 0 || best_.payload_bytes > chunk_.size() / 32 * 31; }

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

ScaledPlace PlaceOf(const RecordHead& head, uint64_t chunk_index) {
  const uint64_t element_bytes = ElementBytes(head.dtype);
  return {chunk_index * (head.chunk_bytes / element_bytes), head.decoded_bytes / element_bytes};
}

// One chunk and the codecs that may be tried on it.
class Choice {
 public:
  Choice(const RecordHead& head, Level level, uint64_t chunk_index, ByteSpan chunk, MutableByteSpan payload,
         CodecScratch::Impl& scratch)
      : head_(head),
        level_(level),
        chunk_index_(chunk_index),
        chunk_(chunk),
        scratch_(scratch),
        contest_(chunk, payload, scratch.trial),
        all_codecs_(!head.side->first_codecs_only && level != Level::kFast),
        small_(chunk.size() <= kSmallChunkBytes) {}

  EncodedChunk Make() {
    TryClasses();
    TryFloat();
    TryBlockFields();
    TryPlanes();
    TryDifferences();
    TryZstd();
    TryQuantised();
    TryMixed();
    return contest_.Finish();
  }

 private:
  bool HasFloatFields() const {
    const auto& floats = head_.side->floats;
    return floats && chunk_.size() / Describe(floats->layout).word_bytes >= kHeadIteration;
  }

  bool IsStructured() const { return HasFloatFields() || head_.side->classes || head_.side->blocks; }

  void TryClasses() {
    std::optional<ClassLayout> layout = ClassLayoutOf(head_.dtype);
    if (!layout) return;
    const size_t word_bytes = Describe(*layout).word_bytes;
    bool wanted = head_.side->classes.has_value() ||
                  (all_codecs_ && chunk_.size() >= kMinClassBytes && HasZerosOrOneSign(chunk_, word_bytes));
    if (!wanted) return;
    const ClassSide plain = PlainClassSide(*layout);
    const ClassSide& side = head_.side->classes ? *head_.side->classes : plain;
    contest_.Try(CodecId::kClasses, [&](MutableByteSpan target) {
      return EncodeClassChunk(side, head_.dtype, FirstWord(head_, word_bytes, chunk_index_), chunk_, target, scratch_);
    });
  }

  void TryFloat() {
    if (!HasFloatFields()) return;
    const FloatSide& side = *head_.side->floats;
    contest_.Try(CodecId::kFloat, [&](MutableByteSpan target) {
      uint64_t first_word = FirstWord(head_, Describe(side.layout).word_bytes, chunk_index_);
      return EncodeFloatChunk(side, level_, first_word, chunk_, target, scratch_);
    });
  }

  void TryBlockFields() {
    if (!head_.side->blocks) return;
    contest_.Try(CodecId::kBlockFields, [&](MutableByteSpan target) {
      return EncodeBlockFieldsChunk(*head_.side->blocks->layout, head_.chunk_bytes * chunk_index_, chunk_, target,
                                    scratch_);
    });
  }

  void TryPlanes() {
    // Bytes that somebody keeps in a float's type, and integers in one of 8 bits, have no exponents.
    bool bytes_perhaps = contest_.IsPoor() || (all_codecs_ && Describe(head_.dtype).bits == 8);
    if (IsStructured() && !(small_ && level_ != Level::kFast) && !bytes_perhaps) return;
    bool rotate = IsFloat(head_.dtype);
    contest_.Try(CodecId::kPlanes, [&](MutableByteSpan target) {
      return EncodePlanesChunk(chunk_, ElementBytes(head_.dtype), rotate, target, scratch_);
    });
  }

  void TryDifferences() {
    const size_t element_bytes = ElementBytes(head_.dtype);
    if (!all_codecs_ || element_bytes < 2) return;
    contest_.Try(CodecId::kDifferences, [&](MutableByteSpan target) {
      return EncodeDifferencesChunk(chunk_, element_bytes, target, scratch_);
    });
  }

  void TryZstd() {
    bool repetitive =
        LooksRepetitive(chunk_) || (head_.side->blocks && BlocksRepeat(*head_.side->blocks->layout, chunk_));
    bool plain = !IsFloat(head_.dtype) && !IsStructured();
    bool wanted = plain || repetitive || (small_ && head_.side->blocks) || contest_.IsPoor() ||
                  (all_codecs_ && LooksCopied(chunk_));
    if (!wanted) return;
    const int zstd_level = kZstdLevels[static_cast<size_t>(level_)];
    contest_.Try(CodecId::kZstd,
                 [&](MutableByteSpan target) { return scratch_.planes.zstd.Encode(chunk_, target, zstd_level); });
  }

  // Values that were quantised and are kept in wider elements.
  void TryQuantised() {
    if (!all_codecs_) return;
    const size_t element_bytes = ElementBytes(head_.dtype);
    if (element_bytes >= 2) {
      contest_.Try(CodecId::kPalette,
                   [&](MutableByteSpan target) { return EncodePaletteChunk(chunk_, element_bytes, target, scratch_); });
    }
    if (std::optional<ScaledWord> word = ScaledWordOf(head_.dtype)) {
      contest_.Try(CodecId::kScaled, [&](MutableByteSpan target) {
        return EncodeScaledChunk(*word, PlaceOf(head_, chunk_index_), chunk_, target, scratch_);
      });
    }
  }

  void TryMixed() {
    std::optional<MixedLayout> layout = MixedLayoutOf(head_.dtype);
    if (level_ != Level::kMax || !layout || chunk_.size() < kMinMixedWords * layout->word_bytes) return;
    MixedGeometry geometry{head_.side->hint_columns, FirstWord(head_, layout->word_bytes, chunk_index_)};
    contest_.Try(CodecId::kMixed,
                 [&](MutableByteSpan target) { return EncodeMixedChunk(*layout, geometry, chunk_, target, scratch_); });
  }

  const RecordHead& head_;
  Level level_;
  uint64_t chunk_index_;
  ByteSpan chunk_;
  CodecScratch::Impl& scratch_;
  Contest contest_;
  bool all_codecs_;
  bool small_;
};

}  // namespace

bool LooksCopied(ByteSpan chunk) {
  constexpr size_t kStride = 256, kSlots = size_t{1} << 12, kRuns = 16;
  if (chunk.size() < 64 * kStride) return true;
  auto slot_of = [](uint64_t word) { return (word * 0x9E3779B97F4A7C15U) >> (64 - 12); };
  std::array<uint32_t, kSlots> table;
  table.fill(UINT32_MAX);
  for (size_t at = 0; at + 8 <= chunk.size(); at += kStride)
    table[slot_of(LoadLe<uint64_t>(chunk.data() + at))] = static_cast<uint32_t>(at);
  for (size_t run = 0; run < kRuns; ++run) {
    size_t begin = (chunk.size() - kStride - 8) / (kRuns - 1) * run;
    for (size_t at = begin; at < begin + kStride; at += 2) {
      auto word = LoadLe<uint64_t>(chunk.data() + at);
      uint32_t seen = table[slot_of(word)];
      if (seen != UINT32_MAX && seen != at && LoadLe<uint64_t>(chunk.data() + seen) == word) return true;
    }
  }
  return false;
}

EncodedChunk EncodeChunk(const RecordHead& head, Level level, uint64_t chunk_index, ByteSpan chunk,
                         MutableByteSpan payload, CodecScratch::Impl& scratch) {
  size_t element_bytes = ElementBytes(head.dtype);
  if (chunk.size() > element_bytes && IsConstant(chunk, element_bytes)) {
    std::memcpy(payload.data(), chunk.data(), element_bytes);
    return {CodecId::kConstant, element_bytes};
  }
  return Choice(head, level, chunk_index, chunk, payload, scratch).Make();
}

}  // namespace flyweight
