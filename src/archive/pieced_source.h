#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"

namespace flyweight {

/// Ranges of other sources, one behind the other. The sources must outlive it.
class PiecedSource final : public ByteSource {
 public:
  /// Appends [offset, offset + size_bytes) of `source`, which need not lie in it: reading it is then an error.
  void Add(const ByteSource& source, uint64_t offset, uint64_t size_bytes);

  uint64_t size() const override { return pieces_.empty() ? 0 : pieces_.back().end; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;

 private:
  struct Piece {
    uint64_t end;
    const ByteSource* source;
    uint64_t source_end;  ///< offset in the source of the piece's end
  };
  std::vector<Piece> pieces_;
};

/// Nothing but zeros.
class ZeroSource final : public ByteSource {
 public:
  explicit ZeroSource(uint64_t size_bytes) : size_bytes_(size_bytes) {}
  uint64_t size() const override { return size_bytes_; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;

 private:
  uint64_t size_bytes_;
};

}  // namespace flyweight
