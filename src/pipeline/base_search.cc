#include "flyweight/base_search.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "base/thread_pool.h"
#include "delta/model.h"
#include "delta/sketch.h"
#include "pipeline/guard.h"
#include "pipeline/model_sketch.h"
#include "pipeline/model_walk.h"
#include "pipeline/pack_input.h"

namespace flyweight {
namespace {

namespace fs = std::filesystem;

constexpr size_t kEntryMaxCount = 1000000;
constexpr size_t kCandidateMaxCount = 20000;
constexpr size_t kRefinedCount = 4;   // that are looked at again, more closely
constexpr size_t kReportedCount = 8;  // that are told
constexpr SketchSize kCoarse = {};
constexpr SketchSize kFine = {.tensor_count = 16, .run_count = 64, .run_elements = 8};

std::string RealPath(const std::string& path) {
  std::error_code error;
  fs::path real = fs::weakly_canonical(path, error);
  return error ? path : real.string();
}

/// Whether `path` is one of the excluded, or inside of one.
bool IsExcluded(const std::string& path, const std::vector<std::string>& excluded) {
  std::string real = RealPath(path);
  return std::ranges::any_of(excluded, [&](const std::string& other) {
    return real == other || (real.starts_with(other) && real.substr(other.size()).starts_with("/"));
  });
}

BaseCandidate Describe(std::string path, const PatchEstimate& estimate) {
  BaseCandidate candidate;
  candidate.path = std::move(path);
  candidate.patch_bytes = static_cast<uint64_t>(estimate.patch_bytes);
  candidate.standalone_bytes = static_cast<uint64_t>(estimate.standalone_bytes);
  candidate.shared_part = estimate.shared_part;
  candidate.changed_part = estimate.changed_part;
  candidate.sample_count = estimate.sample_count;
  return candidate;
}

class Search {
 public:
  Search(const std::string& variant, const BaseSearchOptions& options)
      : variant_(variant), options_(options), pool_(options.thread_count) {}

  Result<BaseSearchResult> Run() {
    FLYWEIGHT_ASSIGN(Sketch variant, SketchModel(variant_, kCoarse));
    if (variant.sites.empty()) return std::move(result_);
    CollectCandidates();
    result_.candidate_count = paths_.size();
    std::vector<BaseCandidate> found = Estimate(variant, kCoarse, paths_);
    SortBest(found);
    FLYWEIGHT_TRY(LookCloser(found));
    FLYWEIGHT_TRY(LeaveOutCopies(found));
    if (found.size() > kReportedCount) found.resize(kReportedCount);
    result_.best = std::move(found);
    return std::move(result_);
  }

 private:
  void CollectCandidates() {
    std::vector<std::string> excluded = {RealPath(variant_)};
    for (const std::string& path : options_.exclude) excluded.push_back(RealPath(path));
    FoundModels models = FindModels(options_.directories, kEntryMaxCount, options_.notice);
    result_.is_complete = models.is_complete;
    bool takes_directories = IsDirectory(variant_);
    for (FoundModels::Directory& directory : models.directories) {
      if (takes_directories || directory.is_sharded) paths_.push_back(std::move(directory.path));
    }
    paths_.insert(paths_.end(), models.files.begin(), models.files.end());
    std::erase_if(paths_, [&](const std::string& path) { return IsExcluded(path, excluded); });
    if (paths_.size() <= kCandidateMaxCount) return;
    paths_.resize(kCandidateMaxCount);
    result_.is_complete = false;
  }

  /// Candidates that have anything in common with the variant, in the order of `paths`.
  std::vector<BaseCandidate> Estimate(const Sketch& variant, const SketchSize& size,
                                      const std::vector<std::string>& paths) {
    std::vector<BaseCandidate> estimates(paths.size());
    std::vector<char> is_unreadable(paths.size());
    Status status = pool_.ParallelFor(paths.size(), [&](size_t i, size_t) -> Status {
      Result<Sketch> sketch = Guarded([&] { return SketchModel(paths[i], size); });
      if (sketch.ok()) {
        estimates[i] = Describe(paths[i], EstimatePatch(variant, sketch.value()));
      } else {
        is_unreadable[i] = 1;
      }
      return Status::Ok();
    });
    result_.unreadable_count += static_cast<uint64_t>(std::ranges::count(is_unreadable, 1));
    std::erase_if(estimates, [](const BaseCandidate& candidate) { return candidate.sample_count == 0; });
    return estimates;
  }

  /// A directory stands in front of its only file and ties go by path, so that the choice depends on nothing else.
  static void SortBest(std::vector<BaseCandidate>& candidates) {
    std::ranges::sort(candidates, [](const BaseCandidate& a, const BaseCandidate& b) {
      return std::tie(a.patch_bytes, a.path) < std::tie(b.patch_bytes, b.path);
    });
  }

  Status LookCloser(std::vector<BaseCandidate>& found) {
    size_t count = std::min(found.size(), kRefinedCount);
    if (count == 0) return Status::Ok();
    std::vector<std::string> paths;
    for (size_t i = 0; i < count; ++i) paths.push_back(found[i].path);
    FLYWEIGHT_ASSIGN(Sketch variant, SketchModel(variant_, kFine));
    std::vector<BaseCandidate> closer = Estimate(variant, kFine, paths);
    SortBest(closer);
    closer.insert(closer.end(), found.begin() + static_cast<ptrdiff_t>(count), found.end());
    found = std::move(closer);
    return Status::Ok();
  }

  /// A patch on an archive of the variant itself would be worth nothing without it.
  Status LeaveOutCopies(std::vector<BaseCandidate>& found) {
    std::vector<BaseCandidate> kept;
    for (BaseCandidate& candidate : found) {
      FLYWEIGHT_ASSIGN(bool is_copy, IsCopy(candidate));
      if (is_copy) {
        result_.same.push_back(candidate.path);
      } else {
        kept.push_back(std::move(candidate));
      }
    }
    found = std::move(kept);
    return Status::Ok();
  }

  Result<bool> IsCopy(const BaseCandidate& candidate) {
    if (candidate.changed_part > 0 || !HasArchiveSuffix(candidate.path)) return false;
    Result<std::shared_ptr<Model>> model = Guarded([&] { return OpenModel(candidate.path); });
    if (!model.ok() || !model.value()->known_identity().has_value()) return false;
    if (!identity_.has_value()) {
      FLYWEIGHT_ASSIGN(std::shared_ptr<Model> variant, OpenModel(variant_));
      FLYWEIGHT_ASSIGN(identity_, variant->Identity(pool_));
    }
    return *model.value()->known_identity() == *identity_;
  }

  const std::string& variant_;
  const BaseSearchOptions& options_;
  ThreadPool pool_;
  std::vector<std::string> paths_;
  std::optional<Digest> identity_;  // of the variant, once it is needed
  BaseSearchResult result_;
};

}  // namespace

bool BaseCandidate::pays() const {
  constexpr double kMargin = 0.97;
  constexpr uint64_t kLeastSamples = 16;
  return sample_count >= kLeastSamples &&
         static_cast<double>(patch_bytes) < kMargin * static_cast<double>(standalone_bytes);
}

Result<BaseSearchResult> FindBase(const std::string& variant, const BaseSearchOptions& options) {
  return Guarded([&] { return Search(variant, options).Run(); });
}

}  // namespace flyweight
