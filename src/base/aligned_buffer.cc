#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

namespace flyweight {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePageBytes = size_t{2} << 20;

size_t RoundUp(size_t size_bytes, size_t unit_bytes) {
  size_t rounded;
  if (__builtin_add_overflow(size_bytes, unit_bytes - 1, &rounded)) throw std::bad_alloc();
  return rounded / unit_bytes * unit_bytes;
}

std::byte* MapHugePages(size_t size_bytes) {
  // One huge page more than asked for, so that a huge-page boundary can be picked; the ends are given back.
  size_t mapped_bytes;
  if (__builtin_add_overflow(size_bytes, kHugePageBytes, &mapped_bytes)) throw std::bad_alloc();
  void* mapping = mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(mapping);
  size_t lead_bytes = (kHugePageBytes - reinterpret_cast<uintptr_t>(begin) % kHugePageBytes) % kHugePageBytes;
  size_t tail_bytes = kHugePageBytes - lead_bytes;
  if (lead_bytes > 0) munmap(begin, lead_bytes);
  if (tail_bytes > 0) munmap(begin + lead_bytes + size_bytes, tail_bytes);
  madvise(begin + lead_bytes, size_bytes, MADV_HUGEPAGE);  // only a hint: without huge pages it is slower, not wrong
  return begin + lead_bytes;
}

// Capacity decides how memory was obtained: multiples of a huge page are mappings.
std::byte* Allocate(size_t capacity) {
  if (capacity >= kHugePageBytes) return MapHugePages(capacity);
  return static_cast<std::byte*>(::operator new(capacity, std::align_val_t{kAlignment}));
}

void Free(std::byte* data, size_t capacity) noexcept {
  if (data == nullptr) return;
  if (capacity >= kHugePageBytes) {
    munmap(data, capacity);
  } else {
    ::operator delete(data, std::align_val_t{kAlignment});
  }
}

}  // namespace

AlignedBuffer::~AlignedBuffer() { Free(data_, capacity_); }

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  if (this != &other) {
    Free(data_, capacity_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

void AlignedBuffer::Resize(size_t size_bytes) {
  if (size_bytes > capacity_) {
    size_t capacity = RoundUp(size_bytes, size_bytes >= kHugePageBytes ? kHugePageBytes : kAlignment);
    Free(std::exchange(data_, nullptr),
         std::exchange(capacity_, 0));  // before allocating, so that both never exist at once
    size_ = 0;
    data_ = Allocate(capacity);
    capacity_ = capacity;
  }
  size_ = size_bytes;
}

}  // namespace flyweight
