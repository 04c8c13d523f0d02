#include "entropy/zstd_stream.h"

#include <zstd.h>

#include <string>

namespace flyweight {
namespace {

constexpr int kMaxWindowLog = 27;

Error NoMemory() { return {ErrorCode::kOutOfMemory, 0, "zstd could not get memory"}; }

}  // namespace

struct ZstdStreamEncoder::State {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  std::vector<std::byte> frame;
  size_t used_bytes = 0;
  ~State() { ZSTD_freeCCtx(context); }
};

ZstdStreamEncoder::ZstdStreamEncoder(int level, uint64_t content_bytes) : state_(std::make_unique<State>()) {
  if (state_->context == nullptr) return;
  ZSTD_CCtx_setParameter(state_->context, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setPledgedSrcSize(state_->context, content_bytes);
}
ZstdStreamEncoder::~ZstdStreamEncoder() = default;

Status ZstdStreamEncoder::Append(ByteSpan bytes) { return Feed(bytes, false); }

Result<std::vector<std::byte>> ZstdStreamEncoder::Finish() {
  FLYWEIGHT_TRY(Feed({}, true));
  state_->frame.resize(state_->used_bytes);
  return std::move(state_->frame);
}

Status ZstdStreamEncoder::Feed(ByteSpan bytes, bool is_last) {
  State& state = *state_;
  if (state.context == nullptr) return NoMemory();
  ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
  for (;;) {
    if (state.frame.size() - state.used_bytes < ZSTD_CStreamOutSize()) {
      state.frame.resize(state.frame.size() + state.frame.size() / 2 + ZSTD_CStreamOutSize());
    }
    ZSTD_outBuffer output{state.frame.data(), state.frame.size(), state.used_bytes};
    size_t left = ZSTD_compressStream2(state.context, &output, &input, is_last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) return Error{ErrorCode::kInternal, 0, std::string("zstd: ") + ZSTD_getErrorName(left)};
    state.used_bytes = output.pos;
    if (is_last ? left == 0 : input.pos == input.size) return {};
  }
}

struct ZstdStreamDecoder::State {
  ZSTD_DCtx* context = ZSTD_createDCtx();
  ZSTD_inBuffer input{nullptr, 0, 0};
  bool ended = false;
  ~State() { ZSTD_freeDCtx(context); }
};

ZstdStreamDecoder::ZstdStreamDecoder(ByteSpan frame) : state_(std::make_unique<State>()) {
  state_->input = {frame.data(), frame.size(), 0};
  if (state_->context != nullptr) ZSTD_DCtx_setParameter(state_->context, ZSTD_d_windowLogMax, kMaxWindowLog);
}
ZstdStreamDecoder::~ZstdStreamDecoder() = default;

Result<size_t> ZstdStreamDecoder::Read(MutableByteSpan target) {
  State& state = *state_;
  if (state.context == nullptr) return NoMemory();
  ZSTD_outBuffer output{target.data(), target.size(), 0};
  while (output.pos < output.size && !state.ended) {
    size_t consumed = state.input.pos, produced = output.pos;
    size_t left = ZSTD_decompressStream(state.context, &output, &state.input);
    if (ZSTD_isError(left)) return Error{ErrorCode::kCorrupt, 0, std::string("zstd: ") + ZSTD_getErrorName(left)};
    state.ended = left == 0;
    if (!state.ended && state.input.pos == consumed && output.pos == produced) {
      return Error{ErrorCode::kTruncated, state.input.pos, "zstd: the frame ends early"};
    }
  }
  if (state.ended && state.input.pos != state.input.size) {
    return Error{ErrorCode::kCorrupt, state.input.pos, "zstd: there are bytes behind the frame"};
  }
  return output.pos;
}

}  // namespace flyweight
