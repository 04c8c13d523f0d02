#include "entropy/zstd_coder.h"

#include <zstd.h>

#include <string>

namespace flyweight {
namespace {

constexpr uint64_t kMaxWindowBytes = uint64_t{8} << 20;
constexpr uint32_t kFrameMagic = 0xFD2FB528;

// Whether a frame's window is within the limit: libzstd checks that only where it decodes as a stream. Also refuses
// frames of zstd's old formats and skippable ones. Precondition: a whole frame. Source: RFC 8878, section 3.1.1.1.
bool IsAllowedFrame(ByteSpan frame) {
  if (LoadLe<uint32_t>(frame.data()) != kFrameMagic) return false;
  constexpr unsigned kSingleSegment = 0x20;
  if (static_cast<unsigned>(frame[4]) & kSingleSegment) return true;  // the window is the content
  auto window = static_cast<unsigned>(frame[5]);
  uint64_t window_bytes = uint64_t{8 + (window & 7)} << (7 + (window >> 3));
  return window_bytes <= kMaxWindowBytes;
}

}  // namespace

struct ZstdCoder::Contexts {
  ZSTD_CCtx* encoder = nullptr;
  ZSTD_DCtx* decoder = nullptr;
  ~Contexts() {
    ZSTD_freeCCtx(encoder);
    ZSTD_freeDCtx(decoder);
  }
};

ZstdCoder::ZstdCoder() : contexts_(std::make_unique<Contexts>()) {}
ZstdCoder::~ZstdCoder() = default;
ZstdCoder::ZstdCoder(ZstdCoder&&) noexcept = default;
ZstdCoder& ZstdCoder::operator=(ZstdCoder&&) noexcept = default;

size_t ZstdCoder::Encode(ByteSpan source, MutableByteSpan target, int level) {
  if (contexts_->encoder == nullptr) contexts_->encoder = ZSTD_createCCtx();
  if (contexts_->encoder == nullptr) return 0;
  size_t written =
      ZSTD_compressCCtx(contexts_->encoder, target.data(), target.size(), source.data(), source.size(), level);
  return ZSTD_isError(written) ? 0 : written;
}

Status ZstdCoder::Decode(ByteSpan source, MutableByteSpan target) {
  if (contexts_->decoder == nullptr) {
    contexts_->decoder = ZSTD_createDCtx();
    if (contexts_->decoder == nullptr)
      return Error{ErrorCode::kOutOfMemory, 0, "zstd could not get memory for its decoder"};
  }
  // A source of several frames would decode too; the format promises exactly one.
  size_t frame_bytes = ZSTD_findFrameCompressedSize(source.data(), source.size());
  if (ZSTD_isError(frame_bytes) || frame_bytes != source.size()) {
    return Error{ErrorCode::kCorrupt, 0, "zstd: the data is not exactly one frame"};
  }
  if (!IsAllowedFrame(source))
    return Error{ErrorCode::kCorrupt, 0, "zstd: a frame of another format or with a window over 8 MiB"};
  size_t written = ZSTD_decompressDCtx(contexts_->decoder, target.data(), target.size(), source.data(), source.size());
  if (ZSTD_isError(written)) return Error{ErrorCode::kCorrupt, 0, std::string("zstd: ") + ZSTD_getErrorName(written)};
  if (written != target.size()) {
    return Error{
        ErrorCode::kCorrupt, 0,
        "zstd: decoded " + std::to_string(written) + " bytes where " + std::to_string(target.size()) + " belong"};
  }
  return {};
}

}  // namespace flyweight
