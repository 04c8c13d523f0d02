#include "codec/mixed_codec.h"

#include <algorithm>
#include <cstring>

#include "codec/plane_coder.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr size_t kMixedHeaderBytes = 14;
constexpr uint32_t kDefaultColumns = 1024;
constexpr size_t kMaxLowPlanes = 2;

// Which bits of a modelled word are raw, and where they stand in the byte that holds them.
class RawBits {
 public:
  RawBits(const MixedWord& word, const MixedSetting& setting)
      : low_bits_(word.mantissa_bits - setting.modelled_bits),
        sign_at_(word.exponent_bits + word.mantissa_bits),
        has_sign_(!setting.predicts) {}

  int count() const { return low_bits_ + (has_sign_ ? 1 : 0); }

  void Gather(std::span<const uint16_t> words, std::byte* plane) const {
    const uint32_t low_mask = (1U << low_bits_) - 1, sign_mask = has_sign_ ? 1U << low_bits_ : 0;
    const int down = sign_at_ - low_bits_;
    for (size_t i = 0; i < words.size(); ++i)
      plane[i] = static_cast<std::byte>((words[i] & low_mask) | (uint32_t{words[i]} >> down & sign_mask));
  }

  // Makes words of which all other bits are 0. Returns whether the plane held raw bits only.
  bool Scatter(const std::byte* plane, std::span<uint16_t> words) const {
    const uint32_t low_mask = (1U << low_bits_) - 1, sign_mask = has_sign_ ? 1U << low_bits_ : 0;
    const int up = sign_at_ - low_bits_;
    uint32_t seen = 0;
    for (size_t i = 0; i < words.size(); ++i) {
      auto raw = static_cast<uint32_t>(plane[i]);
      seen |= raw;
      words[i] = static_cast<uint16_t>((raw & low_mask) | (raw & sign_mask) << up);
    }
    return (seen & ~(low_mask | sign_mask)) == 0;
  }

 private:
  int low_bits_;
  int sign_at_;
  bool has_sign_;
};

// Cuts words into the modelled part and the bytes under it.
void SplitWords(const MixedLayout& layout, ByteSpan chunk, std::span<uint16_t> words, std::byte* low) {
  const size_t count = words.size();
  for (size_t i = 0; i < count; ++i) {
    if (layout.word_bytes == 1) {
      words[i] = static_cast<uint16_t>(chunk[i]);
    } else if (layout.word_bytes == 2) {
      words[i] = LoadLe<uint16_t>(chunk.data() + 2 * i);
    } else {
      auto word = LoadLe<uint32_t>(chunk.data() + 4 * i);
      words[i] = static_cast<uint16_t>(word >> 16);
      low[i] = static_cast<std::byte>(word >> 8 & 255);
      low[count + i] = static_cast<std::byte>(word & 255);
    }
  }
}

void JoinWords(const MixedLayout& layout, std::span<const uint16_t> words, const std::byte* const* low,
               MutableByteSpan chunk) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (layout.word_bytes == 1) {
      chunk[i] = static_cast<std::byte>(words[i]);
    } else if (layout.word_bytes == 2) {
      StoreLe(chunk.data() + 2 * i, words[i]);
    } else {
      uint32_t word =
          uint32_t{words[i]} << 16 | static_cast<uint32_t>(low[0][i]) << 8 | static_cast<uint32_t>(low[1][i]);
      StoreLe(chunk.data() + 4 * i, word);
    }
  }
}

// Raw bits must fit a byte. More are modelled where that costs less than an own plane would.
uint8_t ModelledBits(const MixedWord& word, bool predicts) {
  int at_least = word.mantissa_bits + (predicts ? 0 : 1) - 8;
  return static_cast<uint8_t>(std::min<int>(word.mantissa_bits, std::max(2, at_least)));
}

Error Corrupt(size_t offset, const char* what) { return {ErrorCode::kCorrupt, offset, what}; }

Result<MixedSetting> ReadSetting(const MixedWord& word, ReadCursor& cursor) {
  MixedSetting setting;
  FLYWEIGHT_ASSIGN(uint8_t flags, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(setting.modelled_bits, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(setting.base_exponent, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t reserved, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(setting.scale, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(setting.column_count, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(setting.first_column, cursor.Read<uint32_t>());
  if (flags > 1 || reserved != 0) return Corrupt(0, "mixed: reserved bits are in use");
  setting.predicts = flags == 1;
  if (setting.modelled_bits > std::min<int>(word.mantissa_bits, kMaxModelledMantissaBits))
    return Corrupt(1, "mixed: too many mantissa bits are modelled");
  if (RawBits(word, setting).count() > 8) return Corrupt(1, "mixed: too few mantissa bits are modelled");
  if (setting.column_count == 0 || setting.column_count > kMaxMixedColumns)
    return Corrupt(6, "mixed: the row length is out of bounds");
  if (setting.first_column >= setting.column_count) return Corrupt(10, "mixed: the first column is not in the row");
  return setting;
}

// Decodes a plane unless it lies in the payload as it is.
Result<const std::byte*> TakePlane(ReadCursor& cursor, MutableByteSpan memory, PlaneScratch& scratch) {
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, memory.size()));
  if (coded.method == PlaneMethod::kStored) return coded.stored.data();
  FLYWEIGHT_TRY(DecodePlane(coded, memory, scratch));
  return static_cast<const std::byte*>(memory.data());
}

}  // namespace

std::optional<MixedLayout> MixedLayoutOf(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return MixedLayout{{8, 7}, 2, 0};
    case DType::kF16:
      return MixedLayout{{5, 10}, 2, 0};
    case DType::kF32:
    case DType::kC64:
      return MixedLayout{{8, 7}, 4, kMaxLowPlanes};
    case DType::kF8E4M3:
    case DType::kF8E4M3FNUZ:
      return MixedLayout{{4, 3}, 1, 0};
    case DType::kF8E5M2:
    case DType::kF8E5M2FNUZ:
      return MixedLayout{{5, 2}, 1, 0};
    default:
      return std::nullopt;
  }
}

size_t EncodeMixedChunk(const MixedLayout& layout, const MixedGeometry& geometry, ByteSpan chunk,
                        MutableByteSpan payload, CodecScratch::Impl& scratch) {
  const size_t count = chunk.size() / layout.word_bytes;
  const bool known = geometry.columns != 0 && geometry.columns <= kMaxMixedColumns;
  MixedSetting setting;
  setting.column_count = known ? static_cast<uint32_t>(geometry.columns) : kDefaultColumns;
  setting.first_column = static_cast<uint32_t>(geometry.first_word % setting.column_count);
  scratch.heads.Resize(count * sizeof(uint16_t));
  scratch.low.Resize(count * (1 + layout.low_planes));
  std::span<uint16_t> words(scratch.heads.as<uint16_t>(), count);
  std::byte* low = scratch.low.data() + count;
  SplitWords(layout, chunk, words, low);
  ChooseMixedSetting(layout.word, words, setting);
  setting.modelled_bits = ModelledBits(layout.word, setting.predicts);

  const size_t bound = kMixedHeaderBytes + (1 + layout.low_planes) * (kPlaneHeaderBytes + count) + payload.size();
  scratch.streams.Resize(bound);
  std::byte* out = scratch.streams.data();
  out[0] = static_cast<std::byte>(setting.predicts);
  out[1] = static_cast<std::byte>(setting.modelled_bits);
  out[2] = static_cast<std::byte>(setting.base_exponent);
  out[3] = std::byte{0};
  StoreLe(out + 4, setting.scale);
  StoreLe(out + 6, setting.column_count);
  StoreLe(out + 10, setting.first_column);
  size_t size = kMixedHeaderBytes;
  RawBits(layout.word, setting).Gather(words, scratch.low.data());
  for (size_t p = 0; p < size_t{1} + layout.low_planes; ++p) {
    ByteSpan plane(scratch.low.data() + p * count, count);
    size += EncodePlane(plane, {out + size, bound - size}, scratch.planes);
  }
  if (size >= payload.size()) return 0;
  size_t coded = EncodeMixedWords(layout.word, setting, words, payload.subspan(size), scratch.mixing);
  if (coded == 0) return 0;
  std::memcpy(payload.data(), out, size);
  return size + coded;
}

Status DecodeMixedChunk(const MixedLayout& layout, ByteSpan payload, MutableByteSpan chunk,
                        CodecScratch::Impl& scratch) {
  const size_t count = chunk.size() / layout.word_bytes;
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(MixedSetting setting, ReadSetting(layout.word, cursor));
  scratch.heads.Resize(count * sizeof(uint16_t));
  scratch.low.Resize(count * (1 + layout.low_planes));
  std::span<uint16_t> words(scratch.heads.as<uint16_t>(), count);
  const std::byte* planes[1 + kMaxLowPlanes] = {};
  for (size_t p = 0; p < size_t{1} + layout.low_planes; ++p) {
    FLYWEIGHT_ASSIGN(planes[p], TakePlane(cursor, {scratch.low.data() + p * count, count}, scratch.planes));
  }
  if (!RawBits(layout.word, setting).Scatter(planes[0], words))
    return Corrupt(cursor.position(), "mixed: raw bits have company");
  FLYWEIGHT_ASSIGN(ByteSpan stream, cursor.Take(cursor.remaining()));
  if (!DecodeMixedWords(layout.word, setting, stream, words, scratch.mixing))
    return Corrupt(payload.size(), "mixed: the stream does not end with the chunk");
  JoinWords(layout, words, planes + 1, chunk);
  return {};
}

}  // namespace flyweight
