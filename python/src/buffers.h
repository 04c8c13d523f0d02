#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <span>

#include "flyweight/result.h"

namespace flyweight::python {

/// Bytes of any Python object with the buffer protocol, as flyweight._buffers hands them over: one dimension,
/// contiguous, held for the call.
using ReadBuffer = nanobind::ndarray<const uint8_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using WriteBuffer = nanobind::ndarray<uint8_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;

inline std::span<const std::byte> Bytes(const ReadBuffer& buffer) {
  return {reinterpret_cast<const std::byte*>(buffer.data()), buffer.size()};
}

inline std::span<std::byte> MutableBytes(const WriteBuffer& buffer) {
  return {reinterpret_cast<std::byte*>(buffer.data()), buffer.size()};
}

/// A bytes object that is filled front to back, so that output is written once, where Python wants it.
class OutputBytes {
 public:
  /// Precondition: the GIL is held. Pages that are never touched cost nothing, so a generous capacity is cheap.
  explicit OutputBytes(uint64_t capacity_bytes);
  ~OutputBytes();
  OutputBytes(const OutputBytes&) = delete;
  OutputBytes& operator=(const OutputBytes&) = delete;

  /// Called without the GIL; takes it only where the capacity did not do. Errors: kOutOfMemory.
  Status Append(std::span<const std::byte> bytes);

  /// Everything to fill, for writers that know the size. Precondition: nothing was appended.
  std::span<std::byte> Whole() { return {data_, capacity_bytes_}; }

  /// The object, cut to what was appended. Precondition: the GIL is held.
  nanobind::bytes Release();
  /// The object as it is, after Whole() was filled. Precondition: the GIL is held.
  nanobind::bytes ReleaseWhole();

 private:
  Status Resize(size_t capacity_bytes);

  PyObject* object_ = nullptr;
  std::byte* data_ = nullptr;
  size_t capacity_bytes_ = 0;
  size_t used_bytes_ = 0;
};

}  // namespace flyweight::python
