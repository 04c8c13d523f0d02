#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "archive/reader.h"
#include "lossy/error_sums.h"
#include "lossy/lossy_report.h"
#include "pipeline/extent_items.h"

namespace flyweight {

/// The rows of a file's lossy report, empty where it has none. Errors: kCorrupt, kUnsupportedFeature.
Result<std::vector<LossyRow>> LossyRowsOf(const IndexFile& file);

/// Checks that what the index says of lossy tensors is what their records say. Errors: those of reading; kCorrupt.
Status CheckLossyRecords(const ArchiveReader& reader);

/// Compares what an archive gives back for lossy tensors with their source: every element within what the method
/// promises, and the errors of each tensor those that the archive records.
class LossyComparison {
 public:
  /// Errors: those of LossyRowsOf.
  static Result<LossyComparison> Make(const ArchiveIndex& index);

  /// True where the bytes at `file_offset` belong to a lossy tensor. Thread-safe.
  bool IsLossy(size_t file, uint64_t file_offset) const { return Find(file, file_offset) != nullptr; }

  /// Takes one chunk of a lossy tensor. Returns whether it is within the promise. Thread-safe.
  bool Compare(size_t file, uint64_t file_offset, ByteSpan source, ByteSpan restored);

  /// After the last chunk: true where each tensor has the errors that are recorded.
  bool HasRecordedErrors() const;

 private:
  struct Tensor {
    LossyRow row;
    DType dtype = DType::kOpaque;
    uint64_t offset = 0;
    uint64_t decoded_bytes = 0;
    std::map<uint64_t, ErrorSums> chunks;  ///< by offset
  };

  Tensor* Find(size_t file, uint64_t file_offset) const;

  std::vector<std::map<uint64_t, std::unique_ptr<Tensor>>> files_;  ///< by the offset of their tensors
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
};

}  // namespace flyweight
