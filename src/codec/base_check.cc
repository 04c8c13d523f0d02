#include "codec/base_check.h"

#include "codec/codec_id.h"
#include "codec/record.h"

namespace flyweight {
namespace {

constexpr size_t kCodecOffset = 4;
constexpr uint8_t kFirstPatchCodec = 64;
constexpr uint8_t kLastPatchCodec = 127;

}  // namespace

std::optional<uint64_t> BaseCheckOf(ByteSpan frame) {
  if (frame.size() < kFrameHeaderBytes + sizeof(uint64_t)) return std::nullopt;
  auto codec = static_cast<uint8_t>(frame[kCodecOffset]);
  bool is_patch =
      (codec >= kFirstPatchCodec && codec <= kLastPatchCodec) || codec == static_cast<uint8_t>(CodecId::kLossyPatch);
  if (!is_patch) return std::nullopt;
  return LoadLe<uint64_t>(frame.data() + kFrameHeaderBytes);
}

}  // namespace flyweight
