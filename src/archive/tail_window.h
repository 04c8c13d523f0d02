#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"

namespace flyweight {

/// The end of a source, read once; ranges that lie in it need no further read, nor do sources that are in memory.
class TailWindow {
 public:
  /// The source must outlive the window. Errors: those of reading.
  static Result<TailWindow> Read(const ByteSource& source, uint64_t window_bytes);

  /// The source's bytes [offset, offset + size_bytes): a view where they are at hand, else read into `storage`.
  /// Precondition: the range lies in the source. Errors: those of reading.
  Result<ByteSpan> Range(uint64_t offset, uint64_t size_bytes, std::vector<std::byte>& storage) const;

 private:
  explicit TailWindow(const ByteSource& source) : source_(&source) {}
  const ByteSource* source_;
  std::vector<std::byte> bytes_;
  uint64_t offset_ = 0;
};

}  // namespace flyweight
