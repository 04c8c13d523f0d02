#include <algorithm>

#include "base/checked.h"
#include "codec/record.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/sharing.h"

namespace flyweight {
namespace {

/// The tensor's shape, or one dimension where the caller gave none. Errors: kInvalidArgument where it does not fit the
/// size.
Result<Shape> ShapeOf(const TensorView& tensor) {
  uint64_t size_bytes = tensor.bytes.size();
  if (tensor.dtype == DType::kOpaque) return tensor.shape.empty() ? Shape{size_bytes} : tensor.shape;
  const DTypeInfo& info = Describe(tensor.dtype);
  if (info.dtype != tensor.dtype) return Error{ErrorCode::kInvalidArgument, 0, "unknown dtype"};
  std::string name(info.name);
  if (tensor.shape.empty()) {
    uint64_t block_bytes = static_cast<uint64_t>(info.block_bytes);
    auto elements = CheckedMul(size_bytes / block_bytes, static_cast<uint64_t>(info.block_elements));
    if (elements.has_value() && size_bytes % block_bytes == 0) return Shape{*elements};
    return Error{ErrorCode::kInvalidArgument, 0,
                 std::to_string(size_bytes) + " bytes are no whole number of " + name + " elements"};
  }
  std::optional<uint64_t> expected_bytes = TensorBytes(tensor.dtype, tensor.shape);
  if (expected_bytes == size_bytes) return tensor.shape;
  return Error{ErrorCode::kInvalidArgument, 0,
               "shape and dtype " + name + " do not give the buffer's " + std::to_string(size_bytes) + " bytes"};
}

}  // namespace

Status CompressBuffer(const TensorView& tensor, Level level, size_t thread_count, const AppendCallback& append) {
  return Guarded([&]() -> Status {
    uint64_t size_bytes = tensor.bytes.size();
    Extent extent{
        .offset = 0, .size_bytes = size_bytes, .is_tensor = true, .name = "", .dtype = tensor.dtype, .shape = {}};
    FLYWEIGHT_ASSIGN(extent.shape, ShapeOf(tensor));
    FileMap map;
    map.extents.push_back(std::move(extent));
    ArchiveIndex index = DescribeSingleFile(std::move(map), "", size_bytes);

    MemorySource source(tensor.bytes);
    CallbackSink sink(append);
    ThreadPool pool(UsefulThreadCount(thread_count, size_bytes));
    ProgressCallback no_callback;
    ProgressMeter progress(no_callback, size_bytes);
    SingleContent contents(source);
    FLYWEIGHT_TRY(FindShared(contents, index, level));
    FLYWEIGHT_TRY(EncodeArchive(contents, index,
                                {.level = level, .hash = false, .lossy = nullptr, .check_chunks = false}, sink, pool,
                                progress));
    return Status::Ok();
  });
}

uint64_t CompressBound(uint64_t size_bytes) {
  constexpr uint64_t kSmallestChunkBytes = uint64_t{256} << 10;
  constexpr uint64_t kFixedBytes = 16384;  // header, footer, and two indexes with the longest shape there is
  uint64_t chunk_count = size_bytes / kSmallestChunkBytes + 1;
  uint64_t overhead_per_chunk = FrameBound(kSmallestChunkBytes) - kSmallestChunkBytes + kChunkEntryBytes;
  uint64_t head_bytes = std::min<uint64_t>(kRecordHeadMaxBytes, size_bytes + 1024);
  return size_bytes + chunk_count * overhead_per_chunk + head_bytes + kFixedBytes;
}

}  // namespace flyweight
