#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "archive/base_table.h"
#include "archive/reader.h"
#include "delta/model.h"

namespace flyweight {

/// How well the rows that a patch takes unchanged are checked; those that it patches carry checksums of their base in
/// each chunk.
enum class RowCheck : uint8_t {
  kSample,  ///< where all that is decoded is compared with a SHA-256 anyway
  kWhole,   ///< the first read of a row compares all of it with its digest, unless that is known
  kAll,     ///< the same of every row, those that are patched too
};

/// The rows of a patch's base table, found in a model.
class BoundBase final : public BaseContent {
 public:
  Status Read(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const override;
  /// Compares every row that its RowCheck demands. Errors: kBaseMismatch, and those of reading.
  Status CheckAll() const;
  Status CheckUnchanged() const { return model_->CheckUnchanged(); }
  /// Compares all rows with their digests, as far as that is not known. Errors: kBaseMismatch; those of reading.
  Status CheckEveryRow() const;
  const Model& model() const { return *model_; }

 private:
  friend class BaseBinder;
  struct Row {
    size_t part = 0;
    bool must_check = false;  ///< before it is read
    bool is_checked = false;  ///< its digest is known to be the right one
  };
  Status CheckWhole(size_t row, CodecScratch& scratch) const;

  std::shared_ptr<Model> model_;
  std::vector<BaseRow> table_;
  mutable std::mutex mutex_;
  mutable std::vector<Row> rows_;
};

/// What of a base table a model does not have.
struct BindReport {
  size_t missing_count = 0;    ///< no tensor of that name
  size_t misshapen_count = 0;  ///< one, but of another dtype or shape
  size_t different_count = 0;  ///< one, but with other bytes
  std::string example;         ///< a sentence about the first of them
  bool fits() const { return missing_count + misshapen_count + different_count == 0; }
};

/// Finds what the patch `archive` needs in `model`: by name, else by digest; by size, where it is no tensor. Reads
/// samples of what has no digest. Where the report says that it fits, the result can be given to
/// ArchiveReader::set_base. Precondition: the archive has a base table. Errors: those of reading.
Result<std::shared_ptr<BoundBase>> BindBase(const ArchiveReader& archive, std::shared_ptr<Model> model, RowCheck check,
                                            BindReport& report);

}  // namespace flyweight
