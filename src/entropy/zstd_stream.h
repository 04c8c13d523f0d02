#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// Makes one zstd frame of bytes that arrive in pieces.
class ZstdStreamEncoder {
 public:
  /// The frame declares `content_bytes`, which is what Append must be given in total.
  ZstdStreamEncoder(int level, uint64_t content_bytes);
  ~ZstdStreamEncoder();
  ZstdStreamEncoder(const ZstdStreamEncoder&) = delete;
  ZstdStreamEncoder& operator=(const ZstdStreamEncoder&) = delete;

  /// Errors: kOutOfMemory, kInternal.
  Status Append(ByteSpan bytes);
  /// Ends the frame; call once, last. Errors: those of Append.
  Result<std::vector<std::byte>> Finish();

 private:
  struct State;
  Status Feed(ByteSpan bytes, bool is_last);
  std::unique_ptr<State> state_;
};

/// Reads one zstd frame front to back, of any writer: its window may be up to 128 MiB, as the command zstd takes.
class ZstdStreamDecoder {
 public:
  /// `frame` must outlive it.
  explicit ZstdStreamDecoder(ByteSpan frame);
  ~ZstdStreamDecoder();
  ZstdStreamDecoder(const ZstdStreamDecoder&) = delete;
  ZstdStreamDecoder& operator=(const ZstdStreamDecoder&) = delete;

  /// Fills `target` and returns how many bytes there were: fewer only where the content ends. Errors: kCorrupt,
  /// kTruncated where the frame ends early, kOutOfMemory.
  Result<size_t> Read(MutableByteSpan target);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flyweight
