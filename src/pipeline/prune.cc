#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "flyweight/lineage.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/member_filter.h"
#include "pipeline/pack_input.h"
#include "pipeline/sequence_bases.h"

namespace flyweight {
namespace {

std::string RealPath(const std::string& path) {
  std::error_code error;
  std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
  return error ? path : real.string();
}

bool IsBelow(const std::string& path, const std::string& directory) {
  std::string real = RealPath(path);
  std::string root = RealPath(directory);
  return real.starts_with(root) && real.substr(root.size()).starts_with("/");
}

class Pruner {
 public:
  Pruner(const std::string& directory, const PruneOptions& options) : directory_(directory), options_(options) {}

  Result<PruneReport> Run() {
    if (!IsDirectory(directory_)) return Error{ErrorCode::kInvalidArgument, 0, "'" + directory_ + "' is no directory"};
    if (options_.keep.empty() && options_.keep_last == 0) {
      return Error{ErrorCode::kInvalidArgument, 0, "nothing is said to be kept, and all is not removed"};
    }
    FLYWEIGHT_TRY(ReadAgain());
    FLYWEIGHT_TRY(Choose());
    FLYWEIGHT_TRY(CheckPatchesElsewhere());
    FLYWEIGHT_TRY(RebaseAll());
    FLYWEIGHT_TRY(CheckNothingIsNeeded());
    FLYWEIGHT_TRY(RemoveAll());
    return std::move(report_);
  }

 private:
  Status ReadAgain() {
    std::vector<std::string> paths = {directory_};
    paths.insert(paths.end(), options_.base_directories.begin(), options_.base_directories.end());
    FLYWEIGHT_ASSIGN(lineage_, ReadLineage(paths, {options_.notice}));
    return Status::Ok();
  }

  /// Which archives are kept, and which of the others are removed.
  Status Choose() {
    std::vector<const LineageEntry*> own;
    std::set<size_t> parents;
    for (const LineageEntry& entry : lineage_.entries) {
      if (entry.is_archive && IsBelow(entry.path, directory_)) own.push_back(&entry);
      if (entry.parent.has_value()) parents.insert(*entry.parent);
    }
    std::ranges::sort(own, NaturalLess, &LineageEntry::name);
    size_t match_count = 0;
    for (size_t i = 0; i < own.size(); ++i) {
      const LineageEntry& entry = *own[i];
      bool is_last = own.size() - i <= options_.keep_last;
      bool is_named = std::ranges::any_of(
          options_.keep, [&](const std::string& pattern) { return MatchesPattern(pattern, entry.name); });
      match_count += is_named;
      bool is_link = entry.is_patch || parents.contains(static_cast<size_t>(&entry - lineage_.entries.data()));
      if (is_last || is_named || !is_link) {
        ++report_.kept_count;
      } else {
        removed_.insert(entry.path);
      }
    }
    if (!options_.keep.empty() && match_count == 0 && options_.keep_last == 0) {
      return Error{ErrorCode::kInvalidArgument, 0, "no archive in '" + directory_ + "' matches what is to be kept"};
    }
    for (const std::string& path : removed_) {
      if (path.ends_with(".001")) {
        return Error{ErrorCode::kInvalidArgument, 0, "'" + path + "' is in parts; join them first"};
      }
    }
    return Status::Ok();
  }

  bool IsRemoved(size_t number) const { return removed_.contains(lineage_.entries[number].path); }

  bool NeedsRebase(const LineageEntry& entry) const {
    return entry.is_archive && !removed_.contains(entry.path) && entry.parent.has_value() && IsRemoved(*entry.parent);
  }

  Status CheckPatchesElsewhere() const {
    for (const LineageEntry& entry : lineage_.entries) {
      if (!NeedsRebase(entry)) continue;
      if (!IsBelow(entry.path, directory_)) {
        return Error{ErrorCode::kInvalidArgument, 0,
                     "'" + entry.path + "' stands on '" + lineage_.entries[*entry.parent].path +
                         "', which would be removed; keep that, or prune the directory above both"};
      }
      if (entry.path.ends_with(".001")) {
        return Error{ErrorCode::kInvalidArgument, 0, "'" + entry.path + "' is in parts; join them first"};
      }
    }
    return Status::Ok();
  }

  /// What an entry stands on, the base first.
  Result<std::vector<std::string>> BasesOf(const std::string& path) const {
    std::vector<std::string> directories = {directory_};
    directories.insert(directories.end(), options_.base_directories.begin(), options_.base_directories.end());
    return FindBases(path, directories, options_.thread_count);
  }

  /// One archive at a time, and the lineage is read anew each time: what an archive gives stays the same, so that what
  /// stands on it still fits.
  Status RebaseAll() {
    std::set<std::string> done;
    for (;;) {
      auto next = std::ranges::find_if(lineage_.entries, [&](const LineageEntry& entry) {
        return NeedsRebase(entry) && !done.contains(entry.path);
      });
      if (next == lineage_.entries.end()) return Status::Ok();
      done.insert(next->path);
      Status status = RebaseOne(*next);
      if (!status.ok()) return WithContext(status.take_error(), "'" + next->path + "'");
      if (!options_.dry_run) FLYWEIGHT_TRY(ReadAgain());
    }
  }

  Status RebaseOne(const LineageEntry& entry) {
    std::optional<size_t> ancestor = entry.parent;
    while (ancestor.has_value() && IsRemoved(*ancestor)) ancestor = lineage_.entries[*ancestor].parent;
    PruneStep step{.path = entry.path, .old_bytes = entry.archive_bytes};
    FLYWEIGHT_ASSIGN(std::vector<std::string> old_bases, BasesOf(entry.path));
    CompressOptions options;
    if (ancestor.has_value()) {
      const LineageEntry& onto = lineage_.entries[*ancestor];
      // The lineage of the nearest that stays is the start of the old one.
      size_t count = old_bases.size() - (entry.depth - onto.depth - 1);
      options.bases.assign(old_bases.begin(), old_bases.begin() + static_cast<ptrdiff_t>(count));
      step.onto = options.bases.back();
    }
    if (!options_.dry_run) {
      options.thread_count = options_.thread_count;
      options.level = options_.level;
      options.overwrite = true;
      options.replace_source = true;
      options.progress = options_.progress;
      options.notice = options_.notice;
      std::vector<std::string> lineage = std::move(old_bases);
      lineage.push_back(entry.path);
      FLYWEIGHT_ASSIGN(CompressSummary summary, Rebase(lineage, entry.path, options));
      step.new_bytes = summary.archive_bytes;
      report_.freed_bytes += step.old_bytes - step.new_bytes;  // wraps round where it grew; the sum comes out right
    }
    report_.steps.push_back(std::move(step));
    return Status::Ok();
  }

  /// Looked at once more, on the disk: whatever stays must not stand on what is about to go.
  Status CheckNothingIsNeeded() {
    if (options_.dry_run) return Status::Ok();
    FLYWEIGHT_TRY(ReadAgain());
    for (const LineageEntry& entry : lineage_.entries) {
      if (!NeedsRebase(entry)) continue;
      return Error{ErrorCode::kSourceChanged, 0,
                   "'" + entry.path +
                       "' stands on an archive that would be removed, since something changed in the "
                       "directory meanwhile; nothing was removed"};
    }
    return Status::Ok();
  }

  /// What stands on others first, so that what is left is whole at any time.
  Status RemoveAll() {
    for (size_t i = lineage_.entries.size(); i-- > 0;) {
      const LineageEntry& entry = lineage_.entries[i];
      if (!removed_.contains(entry.path)) continue;
      PruneStep step{.path = entry.path, .is_removed = true, .old_bytes = entry.archive_bytes};
      if (!options_.dry_run && unlink(entry.path.c_str()) != 0) {
        return Error{ErrorCode::kIo, 0, "'" + entry.path + "' cannot be removed: " + std::strerror(errno)};
      }
      report_.freed_bytes += entry.archive_bytes;
      report_.steps.push_back(std::move(step));
    }
    return Status::Ok();
  }

  const std::string& directory_;
  const PruneOptions& options_;
  Lineage lineage_;
  std::set<std::string> removed_;  // paths
  PruneReport report_;
};

}  // namespace

Result<PruneReport> Prune(const std::string& directory, const PruneOptions& options) {
  return Guarded([&] { return Pruner(directory, options).Run(); });
}

}  // namespace flyweight
