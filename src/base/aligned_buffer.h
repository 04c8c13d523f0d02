#pragma once

#include <cstddef>

#include "base/bytes.h"

namespace flyweight {

/// Grow-only scratch memory, aligned to 64 bytes, contents undefined, on huge pages where it is large (fresh 4 KiB
/// pages cost five times a copy). Keep one a thread and reuse it.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size_bytes) { Resize(size_bytes); }
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  /// Makes at least `size_bytes` available; contents are lost when it grows. Throws std::bad_alloc.
  void Resize(size_t size_bytes);
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace flyweight
