#include "pipeline/base_input.h"

#include <algorithm>
#include <utility>

#include "delta/lineage.h"

namespace flyweight {
namespace {

Status Attach(ArchiveReader& reader, const std::string& name, const std::vector<std::string>& bases, RowCheck check) {
  ThreadPool pool(ResolveThreadCount(0));
  FLYWEIGHT_ASSIGN(std::shared_ptr<Model> model, OpenLineage(bases, pool));
  FLYWEIGHT_ASSIGN(std::shared_ptr<BoundBase> base, BindLink(reader, name, std::move(model), check, pool));
  reader.set_base(std::move(base));
  return Status::Ok();
}

}  // namespace

Status AttachBase(ArchiveReader& reader, const std::string& name, const std::vector<std::string>& bases,
                  RowCheck check) {
  if (bases.empty()) return reader.needs_base() ? MissingBase(*reader.base_table()) : Status::Ok();
  if (reader.base_table() == nullptr) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "'" + name + "' is no patch: it holds all it needs, and no base fits it"};
  }
  Status status = Attach(reader, name, bases, check);
  if (status.ok() || status.error().code != ErrorCode::kBaseMismatch) return status;
  std::vector<std::string> links = bases;
  links.push_back(name);
  std::string hint = OrderHint(links);
  if (hint.empty()) return status;
  Error error = status.take_error();
  error.message = hint + " (" + error.message + ")";
  return error;
}

Status CheckBaseUnchanged(const ArchiveReader& reader) {
  const auto* base = dynamic_cast<const BoundBase*>(reader.base());
  return base == nullptr ? Status::Ok() : base->CheckUnchanged();
}

Error ExplainFailure(const ArchiveReader& reader, Error error) {
  Status status = CheckBaseUnchanged(reader);
  if (!status.ok()) return status.take_error();
  const auto* base = dynamic_cast<const BoundBase*>(reader.base());
  if (base == nullptr || error.code != ErrorCode::kChecksumMismatch) return error;
  // Where files are compared with their SHA-256, of what a patch takes unchanged only samples were looked at.
  status = base->CheckEveryRow();
  return status.ok() || status.error().code != ErrorCode::kBaseMismatch ? std::move(error) : status.take_error();
}

RowCheck CheckForFiles(const ArchiveIndex& index) {
  bool all_hashed = std::ranges::all_of(
      index.files, [](const IndexFile& file) { return file.has_sha256 || file.entry.kind != EntryKind::kFile; });
  return all_hashed ? RowCheck::kSample : RowCheck::kWhole;
}

}  // namespace flyweight
