#include "pipeline/lossy_ledger.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "archive/wire.h"

namespace flyweight {

void LossyLedger::HashSource(size_t file, ByteSpan source, bool is_last_of_file) {
  sha256_.Update(source);
  if (!is_last_of_file) return;
  digests_.resize(std::max(digests_.size(), file + 1));
  digests_[file] = sha256_.Finish();
  sha256_ = Sha256Stream();
}

Status LossyLedger::AddChunk(size_t file, uint32_t extent, const LossyChoice& choice, const ErrorSums& errors,
                             double squared_change, bool is_last) {
  errors_.Add(errors);
  squared_change_ += squared_change;
  if (!is_last) return Status::Ok();
  ErrorSums total = std::exchange(errors_, {});
  const double change = std::exchange(squared_change_, 0.0);
  if (!total.IsSound()) {
    return Error{ErrorCode::kSourceChanged, 0,
                 "a tensor can no longer be stored as " + NameOf(choice) + ": the source changed while it was read"};
  }
  const double relative = change > 0 ? std::sqrt(total.squares / change) : 0.0;
  rows_[file].push_back({extent, choice, total.max_abs, total.Rms(), static_cast<float>(relative)});
  return Status::Ok();
}

void LossyLedger::WriteAttributes(ArchiveIndex& index) const {
  for (const auto& [number, rows] : rows_) {
    IndexFile& file = index.files[number];
    auto is_original = [](const IndexAttribute& attribute) { return attribute.kind == wire::kAttributeOriginal; };
    if (std::ranges::none_of(file.attributes, is_original)) {
      file.attributes.push_back({wire::kAttributeOriginal, WriteOriginalFile({file.file_bytes, digests_[number]})});
    }
    file.attributes.push_back({wire::kAttributeLossy, WriteLossyRows(rows)});
  }
}

}  // namespace flyweight
