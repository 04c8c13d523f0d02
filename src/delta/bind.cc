#include "delta/bind.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "archive/tree_digest.h"
#include "base/aligned_buffer.h"

namespace flyweight {
namespace {

std::string ShapeText(const Shape& shape) {
  std::string text = "[";
  for (uint64_t dimension : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(dimension);
  return text + "]";
}

std::string TypeText(DType dtype, const Shape& shape) {
  return std::string(Describe(dtype).name) + " " + ShapeText(shape);
}

}  // namespace

Status BoundBase::Read(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const {
  auto number = static_cast<size_t>(row);
  FLYWEIGHT_TRY(CheckWhole(number, scratch));
  return model_->Read(rows_[number].part, begin, target, scratch);
}

Status BoundBase::CheckAll() const {
  CodecScratch scratch;
  for (size_t row = 0; row < table_.size(); ++row) FLYWEIGHT_TRY(CheckWhole(row, scratch));
  return Status::Ok();
}

Status BoundBase::CheckWhole(size_t row, CodecScratch& scratch) const {
  std::lock_guard lock(mutex_);
  if (!rows_[row].must_check) return Status::Ok();
  const BaseRow& expected = table_[row];
  uint64_t chunk_bytes = ChunkBytesFor(expected.dtype);
  AlignedBuffer buffer(static_cast<size_t>(std::min(chunk_bytes, expected.size_bytes)));
  TreeDigest digest;
  for (uint64_t begin = 0; begin < expected.size_bytes; begin += chunk_bytes) {
    auto size = static_cast<size_t>(std::min(chunk_bytes, expected.size_bytes - begin));
    FLYWEIGHT_TRY(model_->Read(rows_[row].part, begin, {buffer.data(), size}, scratch));
    digest.AddChunk(Sha256({buffer.data(), size}));
  }
  if (digest.Finish() != expected.digest) {
    return Error{ErrorCode::kBaseMismatch, 0,
                 "'" + expected.name + "' of '" + model_->name() + "' is not what the patch was made from"};
  }
  rows_[row].must_check = false;
  rows_[row].is_checked = true;
  return Status::Ok();
}

Status BoundBase::CheckEveryRow() const {
  CodecScratch scratch;
  for (size_t row = 0; row < rows_.size(); ++row) {
    {
      std::lock_guard lock(mutex_);
      rows_[row].must_check = !rows_[row].is_checked;
    }
    FLYWEIGHT_TRY(CheckWhole(row, scratch));
  }
  return Status::Ok();
}

/// One binding of a table.
class BaseBinder {
 public:
  BaseBinder(const ArchiveReader& archive, std::shared_ptr<Model> model, RowCheck check, BindReport& report)
      : archive_(archive), report_(report), bound_(std::make_shared<BoundBase>()) {
    bound_->table_ = archive.base_table()->rows;
    bound_->model_ = std::move(model);
    bound_->rows_.resize(bound_->table_.size());
    if (check == RowCheck::kWhole) FindUnchanged();
    if (check == RowCheck::kAll) {
      for (BoundBase::Row& row : bound_->rows_) row.must_check = true;
    }
  }

  Result<std::shared_ptr<BoundBase>> Run() {
    const std::vector<ModelPart>& parts = bound_->model_->parts();
    for (size_t part = 0; part < parts.size(); ++part) {
      if (parts[part].is_tensor) by_name_[parts[part].name].push_back(part);
      if (parts[part].digest.has_value()) by_digest_[*parts[part].digest].push_back(part);
      by_size_[parts[part].size_bytes].push_back(part);
    }
    for (size_t row = 0; row < bound_->table_.size(); ++row) FLYWEIGHT_TRY(Bind(row));
    return bound_;
  }

 private:
  /// Rows that no checksum of a chunk protects.
  void FindUnchanged() {
    for (const IndexFile& file : archive_.index().files) {
      for (const IndexExtent& extent : file.extents) {
        if (extent.place != PlaceKind::kBase) continue;
        bound_->rows_[static_cast<size_t>(extent.base_number)].must_check = true;
      }
    }
  }

  static bool IsAlike(const BaseRow& row, const ModelPart& part) {
    return part.is_tensor == row.is_tensor && part.dtype == row.dtype && part.shape == row.shape &&
           part.size_bytes == row.size_bytes;
  }

  /// Whether a part has the bytes of a row, as far as can be told at once.
  Result<bool> HasBytes(size_t row, size_t part) {
    const BaseRow& expected = bound_->table_[row];
    const ModelPart& found = bound_->model_->parts()[part];
    if (found.digest.has_value() && found.dtype == expected.dtype) {
      if (*found.digest != expected.digest) return false;
      bound_->rows_[row].is_checked = true;
      bound_->rows_[row].must_check = false;
      return true;
    }
    ModelPartSource source(*bound_->model_, part);
    FLYWEIGHT_ASSIGN(uint64_t sample, SampleHash(source, 0, source.size()));
    return sample == expected.sample_xxh3;
  }

  /// Takes the first of some parts that has a row's type and bytes. Says whether one had the type.
  Result<bool> TakeFirst(size_t row, const std::vector<size_t>& parts, bool& has_alike) {
    for (size_t part : parts) {
      if (!IsAlike(bound_->table_[row], bound_->model_->parts()[part])) continue;
      has_alike = true;
      FLYWEIGHT_ASSIGN(bool fits, HasBytes(row, part));
      if (!fits) continue;
      bound_->rows_[row].part = part;
      return true;
    }
    return false;
  }

  Status Bind(size_t row) {
    const BaseRow& expected = bound_->table_[row];
    const std::vector<size_t> none;
    auto by_name = by_name_.find(expected.name);
    auto by_size = by_size_.find(expected.size_bytes);
    const std::vector<size_t>& of_size = by_size == by_size_.end() ? none : by_size->second;
    const std::vector<size_t>& named = by_name == by_name_.end() ? none : by_name->second;
    bool has_alike = false;
    FLYWEIGHT_ASSIGN(bool found, TakeFirst(row, expected.is_tensor ? named : of_size, has_alike));
    if (found) return Status::Ok();
    auto by_digest = by_digest_.find(expected.digest);
    if (by_digest != by_digest_.end()) {
      bool is_renamed = false;
      FLYWEIGHT_ASSIGN(found, TakeFirst(row, by_digest->second, is_renamed));
      if (found) return Status::Ok();
    }
    Report(expected, named, has_alike);
    return Status::Ok();
  }

  void Report(const BaseRow& expected, const std::vector<size_t>& named, bool has_alike) {
    std::string sentence;
    if (expected.is_tensor && has_alike) {
      ++report_.different_count;
      sentence = "its tensor '" + expected.name + "' has other bytes";
    } else if (expected.is_tensor && !named.empty()) {
      ++report_.misshapen_count;
      const ModelPart& part = bound_->model_->parts()[named.front()];
      sentence = "its tensor '" + expected.name + "' is " + TypeText(part.dtype, part.shape) + " and not " +
                 TypeText(expected.dtype, expected.shape);
    } else {
      ++report_.missing_count;
      sentence = expected.is_tensor
                     ? "it has no tensor '" + expected.name + "'"
                     : "it lacks " + std::to_string(expected.size_bytes) + " bytes of '" + expected.name + "'";
    }
    if (report_.example.empty()) report_.example = std::move(sentence);
  }

  const ArchiveReader& archive_;
  BindReport& report_;
  std::shared_ptr<BoundBase> bound_;
  std::unordered_map<std::string, std::vector<size_t>> by_name_;
  std::map<Digest, std::vector<size_t>> by_digest_;
  std::unordered_map<uint64_t, std::vector<size_t>> by_size_;
};

Result<std::shared_ptr<BoundBase>> BindBase(const ArchiveReader& archive, std::shared_ptr<Model> model, RowCheck check,
                                            BindReport& report) {
  return BaseBinder(archive, std::move(model), check, report).Run();
}

}  // namespace flyweight
