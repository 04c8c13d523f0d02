#pragma once

#include <memory>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// zstd behind one file. Keeps its contexts, so that coding in a loop allocates nothing. One a thread.
class ZstdCoder {
 public:
  ZstdCoder();
  ~ZstdCoder();
  ZstdCoder(ZstdCoder&&) noexcept;
  ZstdCoder& operator=(ZstdCoder&&) noexcept;

  /// Compresses `source` into one frame without checksum. Returns its bytes, or 0 where it does not fit into `target`.
  size_t Encode(ByteSpan source, MutableByteSpan target, int level);

  /// Decodes one frame that must fill `target` exactly and use all of `source`. A window over 8 MiB is an error.
  /// Errors: kCorrupt, kOutOfMemory.
  Status Decode(ByteSpan source, MutableByteSpan target);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace flyweight
