#include "pipeline/lossy_compare.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "archive/wire.h"
#include "codec/lossy_record.h"
#include "lossy/quantise.h"

namespace flyweight {

Result<std::vector<LossyRow>> LossyRowsOf(const IndexFile& file) {
  for (const IndexAttribute& attribute : file.attributes) {
    if (attribute.kind != wire::kAttributeLossy) continue;
    FLYWEIGHT_ASSIGN(std::vector<LossyRow> rows, ParseLossyRows(attribute.value, file.extents.size()));
    for (const LossyRow& row : rows) {
      const IndexExtent& extent = file.extents[row.extent];
      if (extent.is_tensor && CanBeLossy(extent.dtype, row.choice.method)) continue;
      return Error{
          ErrorCode::kCorrupt, 0,
          "extent " + std::to_string(row.extent) + " cannot be " + NameOf(row.choice) + ", as the archive says"};
    }
    return rows;
  }
  return std::vector<LossyRow>();
}

Status CheckLossyRecords(const ArchiveReader& reader) {
  for (const IndexFile& file : reader.index().files) {
    FLYWEIGHT_ASSIGN(std::vector<LossyRow> rows, LossyRowsOf(file));
    auto row = rows.begin();
    for (size_t e = 0; e < file.extents.size(); ++e) {
      const IndexExtent& place = reader.Resolve(file.extents[e]);
      std::optional<LossyChoice> said, found;
      if (row != rows.end() && row->extent == e) said = (row++)->choice;
      if (place.place == PlaceKind::kRecord || place.place == PlaceKind::kPatched) {
        FLYWEIGHT_ASSIGN(OpenRecord record, reader.OpenRecordOf(place));
        found = LossyChoiceOf(record.head);
      }
      if (said == found) continue;
      return Error{ErrorCode::kCorrupt, place.record_offset,
                   "extent " + std::to_string(e) + " is lossy in another way than the index says"};
    }
  }
  return Status::Ok();
}

Result<LossyComparison> LossyComparison::Make(const ArchiveIndex& index) {
  LossyComparison comparison;
  for (const IndexFile& file : index.files) {
    auto& tensors = comparison.files_.emplace_back();
    FLYWEIGHT_ASSIGN(std::vector<LossyRow> rows, LossyRowsOf(file));
    uint64_t offset = 0;
    size_t next = 0;
    for (size_t e = 0; e < file.extents.size() && next < rows.size(); ++e) {
      const IndexExtent& extent = file.extents[e];
      if (rows[next].extent == e) {
        auto tensor = std::make_unique<Tensor>();
        tensor->row = rows[next++];
        tensor->dtype = extent.dtype;
        tensor->offset = offset;
        tensor->decoded_bytes = extent.decoded_bytes;
        tensors.emplace(offset, std::move(tensor));
      }
      offset += extent.decoded_bytes;
    }
  }
  return comparison;
}

LossyComparison::Tensor* LossyComparison::Find(size_t file, uint64_t file_offset) const {
  const auto& tensors = files_[file];
  auto after = tensors.upper_bound(file_offset);
  if (after == tensors.begin()) return nullptr;
  Tensor* tensor = std::prev(after)->second.get();
  return file_offset - tensor->offset < tensor->decoded_bytes ? tensor : nullptr;
}

bool LossyComparison::Compare(size_t file, uint64_t file_offset, ByteSpan source, ByteSpan restored) {
  Tensor& tensor = *Find(file, file_offset);
  ErrorSums errors = MeasureErrors(tensor.dtype, source, restored);
  {
    std::lock_guard lock(*mutex_);
    tensor.chunks[file_offset] = errors;
  }
  return errors.IsSound() && KeepsPromise(tensor.row.choice, tensor.dtype, source, restored);
}

bool LossyComparison::HasRecordedErrors() const {
  for (const auto& tensors : files_) {
    for (const auto& [offset, tensor] : tensors) {
      ErrorSums total;
      for (const auto& [chunk_offset, errors] : tensor->chunks) total.Add(errors);
      bool is_whole =
          total.element_count * (static_cast<uint64_t>(Describe(tensor->dtype).bits) / 8) == tensor->decoded_bytes;
      if (!is_whole || total.max_abs != tensor->row.max_error || total.Rms() != tensor->row.rms_error) return false;
    }
  }
  return true;
}

}  // namespace flyweight
