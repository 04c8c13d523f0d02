#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "delta/bind.h"
#include "delta/model.h"
#include "flyweight/lineage.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/model_walk.h"

namespace flyweight {
namespace {

constexpr size_t kEntryMaxCount = 1000000;
constexpr size_t kTriedMaxCount = 1000;  // models that may be the base; most are ruled out by their names of tensors

bool IsSamePath(const std::string& a, const std::string& b) {
  std::error_code error;
  return a == b || std::filesystem::equivalent(a, b, error);
}

/// Whether a model has what a patch needs, as far as samples tell.
bool Fits(const ArchiveReader& patch, const std::string& path) {
  Result<std::shared_ptr<Model>> model = Guarded([&] { return OpenModel(path); });
  if (!model.ok()) return false;
  BindReport report;
  auto bound = Guarded([&] { return BindBase(patch, std::move(model).value(), RowCheck::kSample, report); });
  return bound.ok() && report.fits();
}

/// Finds the model that is no archive and that `patch` stands on.
Result<std::string> FindPlainBase(const std::string& patch, const std::string& base_name,
                                  const std::vector<std::string>& directories) {
  FLYWEIGHT_ASSIGN(std::shared_ptr<const ByteSource> source, OpenArchiveSource(patch));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
  FoundModels models = FindModels(directories, kEntryMaxCount, {});
  std::vector<std::string> paths;
  std::vector<std::string> others;
  auto add = [&](const std::string& path) { (BaseNameOf(path) == base_name ? paths : others).push_back(path); };
  for (const FoundModels::Directory& directory : models.directories) add(directory.path);
  for (const std::string& file : models.files) {
    if (!HasArchiveSuffix(file)) add(file);
  }
  paths.insert(paths.end(), others.begin(), others.end());
  if (paths.size() > kTriedMaxCount) paths.resize(kTriedMaxCount);
  for (const std::string& path : paths) {
    if (Fits(reader, path)) return path;
  }
  std::string where;
  for (const std::string& directory : directories) where += (where.empty() ? "" : ", ") + directory;
  return Error{ErrorCode::kBaseMismatch, 0,
               "'" + BaseNameOf(patch) + "' is a patch on " + DescribeBase(*reader.base_table()) +
                   ", which is none of the archives and of the " + std::to_string(paths.size()) +
                   " other models below " + where};
}

}  // namespace

Result<std::vector<std::string>> FindBases(const std::string& patch, const std::vector<std::string>& directories,
                                           size_t) {
  return Guarded([&]() -> Result<std::vector<std::string>> {
    std::vector<std::string> paths = {patch};
    paths.insert(paths.end(), directories.begin(), directories.end());
    FLYWEIGHT_ASSIGN(Lineage lineage, ReadLineage(paths, {}));
    auto found =
        std::ranges::find_if(lineage.entries, [&](const LineageEntry& entry) { return IsSamePath(entry.path, patch); });
    if (found == lineage.entries.end()) return Error{ErrorCode::kInternal, 0, "a patch is not in its own lineage"};
    std::vector<std::string> bases;
    const LineageEntry* link = &*found;
    while (link->parent.has_value() && lineage.entries[*link->parent].is_archive) {
      link = &lineage.entries[*link->parent];
      bases.push_back(link->path);
    }
    if (link->is_patch) {
      FLYWEIGHT_ASSIGN(std::string base, FindPlainBase(link->path, link->base_name, directories));
      bases.push_back(std::move(base));
    }
    std::ranges::reverse(bases);
    return bases;
  });
}

Result<CompressSummary> Rebase(const std::vector<std::string>& lineage, const std::string& target,
                               const CompressOptions& options) {
  if (lineage.empty()) return Error{ErrorCode::kInvalidArgument, 0, "there is nothing to re-base"};
  CompressOptions repacking = options;
  repacking.repack = true;
  repacking.source_bases.assign(lineage.begin(), lineage.end() - 1);
  return Compress({lineage.back()}, target, repacking);
}

}  // namespace flyweight
