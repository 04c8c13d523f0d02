#include <algorithm>
#include <filesystem>
#include <utility>

#include "flyweight/lineage.h"
#include "pipeline/chain_finder.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

bool IsSamePath(const std::string& a, const std::string& b) {
  std::error_code error;
  return a == b || std::filesystem::equivalent(a, b, error);
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
    auto number = static_cast<size_t>(found - lineage.entries.begin());
    ChainFinder finder(lineage, directories);
    finder.Resolve({number});
    if (!finder.IsFound(number)) return finder.WhyNot(number);
    return finder.BasesOf(number);
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
