#pragma once

#include <algorithm>

#include "container/annotate.h"
#include "fuzz_support.h"

// What must hold of every annotation: any bytes are annotated without an error, the map covers them exactly, and it
// does not matter where they are read from.

namespace flyweight::fuzz {

/// Bytes that are not offered in memory, as a file's are not.
class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(ByteSpan bytes) : memory_(bytes) {}
  uint64_t size() const override { return memory_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override { return memory_.ReadAt(offset, target); }

 private:
  MemorySource memory_;
};

inline void CheckCover(const FileMap& map, uint64_t file_bytes) {
  uint64_t offset = 0;
  for (const Extent& extent : map.extents) {
    FLYWEIGHT_FUZZ_CHECK(extent.offset == offset);
    FLYWEIGHT_FUZZ_CHECK(extent.size_bytes <= file_bytes - offset);
    FLYWEIGHT_FUZZ_CHECK(extent.is_tensor || extent.size_bytes > 0);
    FLYWEIGHT_FUZZ_CHECK(extent.dtype == DType::kOpaque ||
                         TensorBytes(extent.dtype, extent.shape) == extent.size_bytes);
    FLYWEIGHT_FUZZ_CHECK(extent.name.size() <= 65535 && extent.shape.size() <= 255);
    offset += extent.size_bytes;
  }
  FLYWEIGHT_FUZZ_CHECK(offset == file_bytes);
  FLYWEIGHT_FUZZ_CHECK(ValidateFileMap(map, file_bytes).ok());
}

inline bool SameMap(const FileMap& a, const FileMap& b) {
  return a.format == b.format && std::equal(a.extents.begin(), a.extents.end(), b.extents.begin(), b.extents.end(),
                                            [](const Extent& x, const Extent& y) {
                                              return x.size_bytes == y.size_bytes && x.is_tensor == y.is_tensor &&
                                                     x.name == y.name && x.dtype == y.dtype && x.shape == y.shape;
                                            });
}

inline void CheckAnnotation(ByteSpan file) {
  Result<FileMap> map = Annotate(MemorySource(file));
  FLYWEIGHT_FUZZ_CHECK(map.ok());
  CheckCover(map.value(), file.size());
  Result<FileMap> again = Annotate(PlainSource(file));
  FLYWEIGHT_FUZZ_CHECK(again.ok() && SameMap(map.value(), again.value()));
}

}  // namespace flyweight::fuzz
