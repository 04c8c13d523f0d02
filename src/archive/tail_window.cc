#include "archive/tail_window.h"

#include <algorithm>

namespace flyweight {

Result<TailWindow> TailWindow::Read(const ByteSource& source, uint64_t window_bytes) {
  TailWindow window(source);
  window.offset_ = source.size();
  if (!source.InMemory().empty()) return window;
  uint64_t size_bytes = std::min(source.size(), window_bytes);
  window.offset_ = source.size() - size_bytes;
  window.bytes_.resize(static_cast<size_t>(size_bytes));
  FLYWEIGHT_TRY(source.ReadAt(window.offset_, window.bytes_));
  return window;
}

Result<ByteSpan> TailWindow::Range(uint64_t offset, uint64_t size_bytes, std::vector<std::byte>& storage) const {
  auto size = static_cast<size_t>(size_bytes);
  ByteSpan memory = source_->InMemory();
  if (!memory.empty()) return memory.subspan(static_cast<size_t>(offset), size);
  if (offset >= offset_) return ByteSpan(bytes_).subspan(static_cast<size_t>(offset - offset_), size);
  storage.resize(size);
  FLYWEIGHT_TRY(source_->ReadAt(offset, storage));
  return ByteSpan(storage);
}

}  // namespace flyweight
