#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "base/bytes.h"

namespace flyweight {

/// Equal buffers in one allocation, each aligned to 64 bytes. Contents are undefined at first.
class SlotBuffers {
 public:
  /// Throws std::bad_alloc.
  SlotBuffers(size_t slot_count, uint64_t slot_bytes)
      : stride_((static_cast<size_t>(slot_bytes) + 63) & ~size_t{63}), memory_(slot_count * stride_) {}

  MutableByteSpan operator[](size_t slot) { return {memory_.data() + slot * stride_, stride_}; }

 private:
  size_t stride_;
  AlignedBuffer memory_;
};

}  // namespace flyweight
