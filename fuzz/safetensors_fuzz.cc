#include <string_view>
#include <vector>

#include "container/annotate.h"
#include "fuzz_support.h"

// Any bytes are annotated without an error, the map covers them exactly, and it does not matter where they are read
// from.

namespace flyweight::fuzz {
namespace {

/// Bytes that are not offered in memory, as a file's are not.
class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(ByteSpan bytes) : memory_(bytes) {}
  uint64_t size() const override { return memory_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override { return memory_.ReadAt(offset, target); }

 private:
  MemorySource memory_;
};

void CheckCover(const FileMap& map, uint64_t file_bytes) {
  uint64_t offset = 0;
  for (const Extent& extent : map.extents) {
    FLYWEIGHT_FUZZ_CHECK(extent.offset == offset);
    FLYWEIGHT_FUZZ_CHECK(extent.size_bytes <= file_bytes - offset);
    FLYWEIGHT_FUZZ_CHECK(extent.is_tensor || extent.size_bytes > 0);
    FLYWEIGHT_FUZZ_CHECK(extent.dtype == DType::kOpaque ||
                         TensorBytes(extent.dtype, extent.shape) == extent.size_bytes);
    offset += extent.size_bytes;
  }
  FLYWEIGHT_FUZZ_CHECK(offset == file_bytes);
  FLYWEIGHT_FUZZ_CHECK(ValidateFileMap(map, file_bytes).ok());
}

bool SameMap(const FileMap& a, const FileMap& b) {
  return a.format == b.format && std::equal(a.extents.begin(), a.extents.end(), b.extents.begin(), b.extents.end(),
                                            [](const Extent& x, const Extent& y) {
                                              return x.size_bytes == y.size_bytes && x.is_tensor == y.is_tensor &&
                                                     x.name == y.name && x.dtype == y.dtype && x.shape == y.shape;
                                            });
}

void CheckAnnotation(ByteSpan file) {
  Result<FileMap> map = Annotate(MemorySource(file));
  FLYWEIGHT_FUZZ_CHECK(map.ok());
  CheckCover(map.value(), file.size());
  Result<FileMap> again = Annotate(PlainSource(file));
  FLYWEIGHT_FUZZ_CHECK(again.ok() && SameMap(map.value(), again.value()));
}

/// The same bytes with the length field set to what their JSON has.
std::vector<std::byte> WithFittingLength(ByteSpan file) {
  std::vector<std::byte> fitting(file.begin(), file.end());
  size_t brace = AsText(file).rfind('}');
  if (brace != std::string_view::npos && brace >= 8) StoreLe<uint64_t>(fitting.data(), brace - 7);
  return fitting;
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  flyweight::ByteSpan file = std::as_bytes(std::span(data, size_bytes));
  CheckAnnotation(file);
  CheckAnnotation(WithFittingLength(file));
  return 0;
}
