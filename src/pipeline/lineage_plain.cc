#include <algorithm>
#include <memory>
#include <utility>

#include "archive/reader.h"
#include "delta/bind.h"
#include "delta/model.h"
#include "flyweight/lineage.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/model_walk.h"
#include "pipeline/pack_input.h"

namespace flyweight {
namespace {

constexpr size_t kEntryMaxCount = 1000000;
constexpr size_t kTriedMaxCount = 1000;  // models that may be a base; most are ruled out by their names of tensors

/// Model files that are no archives, and directories that are models.
std::vector<std::string> PlainModels(const std::vector<std::string>& paths) {
  std::vector<std::string> directories;
  for (const std::string& path : paths) directories.push_back(IsDirectory(path) ? path : DirectoryOf(path));
  FoundModels models = FindModels(directories, kEntryMaxCount, {});
  std::vector<std::string> plain;
  for (FoundModels::Directory& directory : models.directories) plain.push_back(std::move(directory.path));
  for (std::string& file : models.files) {
    if (!HasArchiveSuffix(file)) plain.push_back(std::move(file));
  }
  return plain;
}

/// Whether a model has what the patch at `patch` needs, as far as samples tell.
bool Fits(const ArchiveReader& patch, const std::string& path) {
  Result<std::shared_ptr<Model>> model = Guarded([&] { return OpenModel(path); });
  if (!model.ok()) return false;
  BindReport report;
  auto bound = Guarded([&] { return BindBase(patch, std::move(model).value(), RowCheck::kSample, report); });
  return bound.ok() && report.fits();
}

Status FindOne(LineageEntry& base, const std::string& patch, std::vector<std::string> candidates) {
  FLYWEIGHT_ASSIGN(std::shared_ptr<const ByteSource> source, OpenArchiveSource(patch));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
  std::ranges::partition(candidates, [&](const std::string& path) { return BaseNameOf(path) == base.name; });
  if (candidates.size() > kTriedMaxCount) candidates.resize(kTriedMaxCount);
  auto found = std::ranges::find_if(candidates, [&](const std::string& path) { return Fits(reader, path); });
  base.other_path = base.is_guess ? std::move(base.path) : std::string();
  base.is_guess = found != candidates.end();
  base.path = base.is_guess ? *found : std::string();
  if (base.is_guess) base.other_path.clear();
  return Status::Ok();
}

}  // namespace

Status FindPlainBases(Lineage& lineage, const std::vector<std::string>& paths) {
  return Guarded([&]() -> Status {
    bool has_plain = std::ranges::any_of(lineage.entries, [](const LineageEntry& entry) { return !entry.is_archive; });
    if (!has_plain) return Status::Ok();
    std::vector<std::string> candidates = PlainModels(paths);
    for (const LineageEntry& patch : lineage.entries) {
      if (!patch.is_patch || !patch.parent.has_value()) continue;
      LineageEntry& base = lineage.entries[*patch.parent];
      bool is_done = base.is_archive || base.was_looked_for;
      if (is_done) continue;
      base.was_looked_for = true;
      FLYWEIGHT_TRY(FindOne(base, patch.path, candidates));
    }
    return Status::Ok();
  });
}

}  // namespace flyweight
