#pragma once

#include <optional>

#include "base/hash.h"

namespace flyweight {

/// The digest of a tensor (docs/format.md section 1.4): SHA-256 over the SHA-256 digests of its chunks, given in order.
class TreeDigest {
 public:
  void AddChunk(const Digest& chunk_digest) {
    if (!stream_.has_value()) stream_.emplace();
    stream_->Update(chunk_digest);
  }

  /// The digest of the chunks so far; starts anew afterwards.
  Digest Finish() {
    if (!stream_.has_value()) return Sha256({});
    Digest digest = stream_->Finish();
    stream_.reset();
    return digest;
  }

 private:
  std::optional<Sha256Stream> stream_;
};

}  // namespace flyweight
