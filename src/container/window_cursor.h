#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"

namespace flyweight {

/// Reads untrusted bytes of a source front to back through a small window, so that headers of any size take bounded
/// memory. Every step gives false where the bytes are not there and where reading failed; status() tells which, and
/// after a failure every further step fails.
class WindowCursor {
 public:
  /// Reads [begin_offset, end_offset). Precondition: begin_offset <= end_offset <= source.size(). The source must
  /// outlive the cursor.
  WindowCursor(const ByteSource& source, uint64_t begin_offset, uint64_t end_offset)
      : source_(source), offset_(begin_offset), end_offset_(end_offset) {}

  /// Takes the next `count` bytes, which are valid until the next step. Memory grows to `count`.
  bool Take(uint64_t count, ByteSpan& bytes);

  /// Passes over `count` bytes without reading them.
  bool Skip(uint64_t count);

  /// Reads an integer of fixed width, big-endian where `big_endian`.
  template <typename T>
  bool Read(T& value, bool big_endian = false) {
    ByteSpan bytes;
    if (!Take(sizeof(T), bytes)) return false;
    value = 0;
    for (size_t i = 0; i < sizeof(T); i++) {
      size_t shift_bytes = big_endian ? sizeof(T) - 1 - i : i;
      value = static_cast<T>(value | static_cast<T>(std::to_integer<T>(bytes[i]) << (8 * shift_bytes)));
    }
    return true;
  }

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return end_offset_ - offset_; }
  /// Ok unless reading from the source failed.
  const Status& status() const { return status_; }

 private:
  bool Fill(uint64_t count);

  const ByteSource& source_;
  uint64_t offset_;
  uint64_t end_offset_;
  std::vector<std::byte> window_;
  uint64_t window_offset_ = 0;
  Status status_;
};

}  // namespace flyweight
