#include "buffers.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

namespace nb = nanobind;

namespace flyweight::python {
namespace {

constexpr uint64_t kMaxObjectBytes = std::numeric_limits<Py_ssize_t>::max() / 2;

std::byte* DataOf(PyObject* object) { return reinterpret_cast<std::byte*>(PyBytes_AsString(object)); }

/// Makes a fresh bytes object longer or shorter, keeping its beginning. On failure the object is gone and an exception
/// set. CPython's _PyBytes_Resize does that without a copy, but is outside the limited API: it is used where the
/// process has it.
bool ResizeBytes(PyObject** object, size_t kept_bytes, size_t size_bytes) {
  using Resizer = int (*)(PyObject**, Py_ssize_t);
  static const Resizer resize = reinterpret_cast<Resizer>(dlsym(RTLD_DEFAULT, "_PyBytes_Resize"));
  if (resize != nullptr) return resize(object, static_cast<Py_ssize_t>(size_bytes)) == 0;
  PyObject* other = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size_bytes));
  if (other != nullptr) std::memcpy(DataOf(other), DataOf(*object), std::min(kept_bytes, size_bytes));
  Py_DECREF(*object);
  *object = other;
  return other != nullptr;
}

/// Asks for huge pages under memory that is about to be filled: else making its pages takes longer than decoding does.
void PreferHugePages(std::byte* data, size_t size_bytes) {
#ifdef MADV_HUGEPAGE
  static const uintptr_t page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  constexpr size_t kWorthwhileBytes = 4 << 20;
  if (size_bytes < kWorthwhileBytes) return;
  uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page_bytes - 1) / page_bytes * page_bytes;
  uintptr_t end = (reinterpret_cast<uintptr_t>(data) + size_bytes) / page_bytes * page_bytes;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);  // a wish: refused where the kernel has none
#endif
}

}  // namespace

OutputBytes::OutputBytes(uint64_t capacity_bytes) {
  if (capacity_bytes > kMaxObjectBytes) throw std::bad_alloc();
  object_ = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(capacity_bytes));
  if (object_ == nullptr) throw nb::python_error();
  data_ = DataOf(object_);
  capacity_bytes_ = static_cast<size_t>(capacity_bytes);
  PreferHugePages(data_, capacity_bytes_);
}

OutputBytes::~OutputBytes() { Py_XDECREF(object_); }

Status OutputBytes::Append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return Status::Ok();
  if (bytes.size() > capacity_bytes_ - used_bytes_) {
    FLYWEIGHT_TRY(Resize(std::max(used_bytes_ + bytes.size(), capacity_bytes_ + capacity_bytes_ / 2)));
  }
  std::memcpy(data_ + used_bytes_, bytes.data(), bytes.size());
  used_bytes_ += bytes.size();
  return Status::Ok();
}

Status OutputBytes::Resize(size_t capacity_bytes) {
  nb::gil_scoped_acquire gil;
  if (capacity_bytes > kMaxObjectBytes || !ResizeBytes(&object_, used_bytes_, capacity_bytes)) {
    PyErr_Clear();
    data_ = nullptr;
    capacity_bytes_ = used_bytes_ = 0;
    return Error{ErrorCode::kOutOfMemory, 0, "not enough memory for the output"};
  }
  data_ = DataOf(object_);
  capacity_bytes_ = capacity_bytes;
  return Status::Ok();
}

nb::bytes OutputBytes::Release() {
  if (used_bytes_ != capacity_bytes_ && !ResizeBytes(&object_, used_bytes_, used_bytes_)) {
    throw nb::python_error();
  }
  return ReleaseWhole();
}

nb::bytes OutputBytes::ReleaseWhole() {
  PyObject* object = object_;
  object_ = nullptr;
  return nb::steal<nb::bytes>(object);
}

}  // namespace flyweight::python
