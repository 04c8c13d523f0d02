#include "sync/open_patch.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "codec/patch_record.h"
#include "pipeline/encode.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

Error NotTensors(const std::string& what) {
  return {ErrorCode::kUnsupportedFeature, 0, "it is no patch of tensors in memory but " + what};
}

/// Errors: kUnsupportedFeature.
Status CheckPlace(const IndexExtent& extent) {
  switch (extent.place) {
    case PlaceKind::kInline:
    case PlaceKind::kRecord:
      return {};
    case PlaceKind::kPatched:
      if (extent.base_is_outside) return {};
      [[fallthrough]];
    default:
      return NotTensors("an archive whose tensors are made of each other; apply it as a file");
  }
}

PatchedTensor Describe(const IndexExtent& extent, const IndexExtent& place, const ArchiveIndex& index) {
  PatchedTensor tensor;
  tensor.name = extent.name;
  tensor.dtype = extent.dtype;
  tensor.shape = extent.shape;
  tensor.size_bytes = extent.decoded_bytes;
  tensor.stored_bytes = place.place == PlaceKind::kInline ? place.inline_bytes.size() : place.record_bytes;
  tensor.needs_base = place.place == PlaceKind::kPatched;
  tensor.is_in_place = true;
  if (!tensor.needs_base) return tensor;
  const BaseRow& row = index.base->rows[static_cast<size_t>(place.base_number)];
  tensor.base_dtype = row.dtype;
  tensor.base_shape = row.shape;
  tensor.base_bytes = row.size_bytes;
  tensor.is_in_place = row.dtype == extent.dtype && row.size_bytes == extent.decoded_bytes && row.name == extent.name;
  return tensor;
}

}  // namespace

Result<PatchRecordView> OpenPatchRecord(const OpenedPatch& patch, size_t tensor) {
  const IndexExtent& extent = *patch.extents[tensor];
  PatchRecordView view;
  view.patch = patch.bytes;
  FLYWEIGHT_ASSIGN(view.record, patch.reader->OpenRecordOf(extent));
  std::optional<PatchBase> base = PatchBaseOf(view.record.head);
  const PatchedTensor& described = patch.tensors[tensor];
  bool agrees =
      base.has_value() == described.needs_base && (!base.has_value() || base->size_bytes == described.base_bytes);
  if (!agrees) {
    return Error{ErrorCode::kCorrupt, extent.record_offset,
                 "tensor '" + described.name + "': index and record disagree about its base"};
  }
  return view;
}

TensorPatch::TensorPatch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TensorPatch::~TensorPatch() = default;
TensorPatch::TensorPatch(TensorPatch&&) noexcept = default;
TensorPatch& TensorPatch::operator=(TensorPatch&&) noexcept = default;

const std::string& TensorPatch::name() const { return impl_->name; }
const std::string& TensorPatch::base_name() const { return impl_->base_name; }
const std::vector<PatchedTensor>& TensorPatch::tensors() const { return impl_->tensors; }

Result<TensorPatch> TensorPatch::Open(std::span<const std::byte> bytes) {
  return Guarded([&]() -> Result<TensorPatch> {
    auto impl = std::make_unique<Impl>(bytes);
    FLYWEIGHT_ASSIGN(impl->reader, ArchiveReader::Open(impl->source));
    const ArchiveIndex& index = impl->reader->index();
    if (index.is_tree || index.files.size() != 1) return NotTensors("the archive of a directory");
    const IndexFile& file = index.files[0];
    impl->name = file.name;
    if (index.base.has_value()) impl->base_name = index.base->name;
    for (const IndexExtent& extent : file.extents) {
      if (!extent.is_tensor) return NotTensors("the archive of a file");
      const IndexExtent& place = impl->reader->Resolve(extent);
      FLYWEIGHT_TRY(CheckPlace(place));
      impl->extents.push_back(&place);
      impl->tensors.push_back(Describe(extent, place, index));
    }
    return TensorPatch(std::move(impl));
  });
}

Status TensorPatch::Decode(size_t index, std::span<const std::byte> base, std::span<std::byte> target,
                           size_t thread_count) const {
  return Guarded([&]() -> Status {
    if (index >= impl_->tensors.size()) return Error{ErrorCode::kInvalidArgument, 0, "no such tensor"};
    const PatchedTensor& tensor = impl_->tensors[index];
    if (target.size() != tensor.size_bytes || (!tensor.needs_base && !base.empty())) {
      return Error{ErrorCode::kInvalidArgument, 0, "tensor '" + tensor.name + "': base or target have another size"};
    }
    if (tensor.needs_base && base.size() != tensor.base_bytes) {
      return Error{ErrorCode::kWrongBase, 0,
                   "tensor '" + tensor.name + "' needs a base of " + std::to_string(tensor.base_bytes) +
                       " bytes, not of " + std::to_string(base.size())};
    }
    const IndexExtent& extent = *impl_->extents[index];
    if (extent.place == PlaceKind::kInline) {
      std::ranges::copy(extent.inline_bytes, target.begin());
      return {};
    }
    FLYWEIGHT_ASSIGN(PatchRecordView view, OpenPatchRecord(*impl_, index));
    const RecordHead& head = view.record.head;
    ThreadPool pool(UsefulThreadCount(thread_count, target.size()));
    std::vector<CodecScratch> scratch(pool.thread_count());
    Status status = pool.ParallelFor(static_cast<size_t>(head.chunk_count), [&](size_t chunk, size_t worker) {
      BaseRange range = tensor.needs_base ? BaseRangeOf(head, chunk) : BaseRange{};
      return DecodePatchFrame(
          head, chunk, view.Frame(chunk), view.ReadableBytes(chunk), view.record.table[chunk],
          base.subspan(static_cast<size_t>(range.begin_bytes), static_cast<size_t>(range.size_bytes)),
          target.subspan(chunk * static_cast<size_t>(head.chunk_bytes),
                         static_cast<size_t>(head.ChunkDecodedBytes(chunk))),
          scratch[worker]);
    });
    return status.ok() ? status : Status(WithContext(status.take_error(), "tensor '" + tensor.name + "'"));
  });
}

}  // namespace flyweight
