#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/bytes.h"

// What the fuzz targets share.

/// Ends the program where a property does not hold; the fuzzer keeps the input.
#define FLYWEIGHT_FUZZ_CHECK(condition)                                                   \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace flyweight::fuzz {

/// Takes a fuzz input apart from the front; what is missing at the end reads as zero.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size_bytes) : bytes_(std::as_bytes(std::span(data, size_bytes))) {}

  template <typename T>
  T Read() {
    T value = 0;
    ByteSpan taken = Take(sizeof(T));
    if (!taken.empty()) std::memcpy(&value, taken.data(), taken.size());
    return value;
  }

  /// At most `count` bytes.
  ByteSpan Take(size_t count) {
    ByteSpan taken = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

  ByteSpan Rest() { return Take(bytes_.size()); }
  bool empty() const { return bytes_.empty(); }

 private:
  ByteSpan bytes_;
};

/// Heap memory of exactly this size, so that the address sanitizer sees one byte too far.
class ExactBuffer {
 public:
  explicit ExactBuffer(size_t size_bytes) : bytes_(new std::byte[size_bytes]()), size_bytes_(size_bytes) {}
  explicit ExactBuffer(ByteSpan content) : ExactBuffer(content.size()) {
    std::copy(content.begin(), content.end(), bytes_.get());
  }
  MutableByteSpan span() { return {bytes_.get(), size_bytes_}; }
  ByteSpan span() const { return {bytes_.get(), size_bytes_}; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  size_t size_bytes_;
};

inline bool SameBytes(ByteSpan a, ByteSpan b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

}  // namespace flyweight::fuzz
