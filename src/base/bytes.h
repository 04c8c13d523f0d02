#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flyweight/result.h"

namespace flyweight {

static_assert(std::endian::native == std::endian::little,
              "flyweight's loads and stores assume a little-endian machine");

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

inline ByteSpan AsBytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view AsText(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Reads a little-endian T from unaligned memory. Precondition: sizeof(T) readable bytes.
template <typename T>
T LoadLe(const void* source) {
  T value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

/// Writes a little-endian T to unaligned memory.
template <typename T>
void StoreLe(void* target, T value) {
  std::memcpy(target, &value, sizeof value);
}

/// Reads untrusted bytes front to back. Every read is checked, in release builds too; errors carry the absolute offset.
class ReadCursor {
 public:
  /// `base_offset` is where `bytes` start in the file, used in error messages only.
  explicit ReadCursor(ByteSpan bytes, uint64_t base_offset = 0) : bytes_(bytes), base_offset_(base_offset) {}

  /// Reads a fixed-width little-endian integer. Errors: kTruncated.
  template <typename T>
  Result<T> Read() {
    if (remaining() < sizeof(T)) return Truncated(sizeof(T));
    T value = LoadLe<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }

  /// Takes the next `count` bytes without copying. Errors: kTruncated.
  Result<ByteSpan> Take(uint64_t count) {
    if (remaining() < count) return Truncated(count);
    ByteSpan taken = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return taken;
  }

  size_t remaining() const { return bytes_.size() - position_; }
  size_t position() const { return position_; }
  uint64_t offset() const { return base_offset_ + position_; }

 private:
  Error Truncated(uint64_t wanted) const {
    return {ErrorCode::kTruncated, offset(),
            "needs " + std::to_string(wanted) + " more bytes but only " + std::to_string(remaining()) + " are left"};
  }

  ByteSpan bytes_;
  size_t position_ = 0;
  uint64_t base_offset_;
};

/// Appends little-endian values to a growing byte vector.
class ByteWriter {
 public:
  template <typename T>
  void Write(T value) {
    size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    StoreLe(bytes_.data() + at, value);
  }
  /// Makes room for about so many bytes, so that a large result is not copied while it grows.
  void Reserve(size_t size_bytes) { bytes_.reserve(size_bytes); }
  void Append(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  size_t size() const { return bytes_.size(); }
  ByteSpan bytes() const { return bytes_; }
  std::vector<std::byte> Release() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace flyweight
