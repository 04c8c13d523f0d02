#include "container/window_cursor.h"

#include <algorithm>

namespace flyweight {
namespace {

constexpr uint64_t kWindowBytes = 16 << 10;

}  // namespace

bool WindowCursor::Take(uint64_t count, ByteSpan& bytes) {
  if (!status_.ok() || count > remaining()) return false;
  ByteSpan memory = source_.InMemory();
  if (!memory.empty()) {
    bytes = memory.subspan(static_cast<size_t>(offset_), static_cast<size_t>(count));
  } else {
    if (!Fill(count)) return false;
    bytes = ByteSpan(window_).subspan(static_cast<size_t>(offset_ - window_offset_), static_cast<size_t>(count));
  }
  offset_ += count;
  return true;
}

bool WindowCursor::Skip(uint64_t count) {
  if (!status_.ok() || count > remaining()) return false;
  offset_ += count;
  return true;
}

/// Brings the next `count` bytes into the window. Precondition: count <= remaining().
bool WindowCursor::Fill(uint64_t count) {
  bool inside = offset_ >= window_offset_ && offset_ - window_offset_ <= window_.size() &&
                count <= window_.size() - (offset_ - window_offset_);
  if (inside) return true;
  window_.resize(static_cast<size_t>(std::min(std::max(count, kWindowBytes), remaining())));
  window_offset_ = offset_;
  status_ = source_.ReadAt(offset_, window_);
  return status_.ok();
}

}  // namespace flyweight
