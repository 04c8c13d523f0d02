#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor/file_map.h"

namespace flyweight {

/// Extents front to back, without gaps: what lies between two tensors becomes raw, neighbouring raw ranges become one.
class ExtentList {
 public:
  ExtentList() = default;
  /// Goes on behind extents that end at `end_offset`.
  ExtentList(std::vector<Extent> extents, uint64_t end_offset)
      : extents_(std::move(extents)), end_offset_(end_offset) {}

  /// Everything up to `offset` is raw. Precondition: offset >= end_offset().
  void RawUntil(uint64_t offset) {
    if (offset == end_offset_) return;
    if (!extents_.empty() && !extents_.back().is_tensor) {
      extents_.back().size_bytes += offset - end_offset_;
    } else {
      extents_.push_back({.offset = end_offset_, .size_bytes = offset - end_offset_, .name = {}, .shape = {}});
    }
    end_offset_ = offset;
  }

  /// The next `size_bytes` are a tensor.
  void Tensor(uint64_t size_bytes, std::string name, DType dtype, Shape shape) {
    extents_.push_back({.offset = end_offset_,
                        .size_bytes = size_bytes,
                        .is_tensor = true,
                        .name = std::move(name),
                        .dtype = dtype,
                        .shape = std::move(shape)});
    end_offset_ += size_bytes;
  }

  void Reserve(size_t count) { extents_.reserve(count); }
  uint64_t end_offset() const { return end_offset_; }
  std::vector<Extent> Release() { return std::move(extents_); }

 private:
  std::vector<Extent> extents_;
  uint64_t end_offset_ = 0;
};

}  // namespace flyweight
