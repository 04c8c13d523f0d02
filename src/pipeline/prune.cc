#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "flyweight/lineage.h"
#include "pipeline/chain_finder.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/pack_input.h"
#include "pipeline/prune_choice.h"
#include "pipeline/prune_journal.h"

namespace flyweight {
namespace {

std::string RealPath(const std::string& path) {
  std::error_code error;
  std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
  return error ? path : real.string();
}

class Pruner {
 public:
  Pruner(const std::string& directory, const PruneOptions& options)
      : directory_(directory),
        options_(options),
        directories_({directory}),
        notice_([this](const Notice& notice) { TakeNotice(notice); }) {
    directories_.insert(directories_.end(), options.base_directories.begin(), options.base_directories.end());
  }

  Result<PruneReport> Run() {
    if (!IsDirectory(directory_)) return Error{ErrorCode::kInvalidArgument, 0, "'" + directory_ + "' is no directory"};
    if (options_.keep.empty() && options_.keep_last == 0) {
      return Error{ErrorCode::kInvalidArgument, 0, "nothing is said to be kept, and all is not removed"};
    }
    FLYWEIGHT_TRY(ReadAgain());
    PruneJournal journal(directory_, options_);
    FLYWEIGHT_TRY(Choose(journal));
    FLYWEIGHT_TRY(CheckAllCanBeDone());
    if (removed_.empty()) return std::move(report_);
    if (!options_.dry_run) FLYWEIGHT_TRY(WriteJournal(journal));
    Status rebased = RebaseAll();
    if (!rebased.ok() && report_.steps.empty() && !options_.dry_run) journal.Remove();
    FLYWEIGHT_TRY(std::move(rebased));
    FLYWEIGHT_TRY(CheckNothingIsNeeded());
    FLYWEIGHT_TRY(RemoveAll());
    if (!options_.dry_run) journal.Remove();
    return std::move(report_);
  }

 private:
  /// Two views of the lineage: over all archives, and over those alone that stay.
  struct Chains {
    ChainFinder all;
    ChainFinder staying;
    std::set<size_t> watched;  ///< what must be restorable in the end
  };

  void TakeNotice(const Notice& notice) {
    could_not_look_ = could_not_look_ || notice.is_error;
    if (options_.notice) options_.notice(notice);
  }

  /// Errors: kIo where not all could be seen: what is not seen may stand on what would be removed, or be its base.
  Status ReadAgain() {
    could_not_look_ = false;
    FLYWEIGHT_ASSIGN(lineage_, ReadLineage(directories_, {notice_}));
    if (!lineage_.unreadable_paths.empty()) {
      return Error{
          ErrorCode::kIo, 0,
          "'" + lineage_.unreadable_paths.front() + "'" +
              (lineage_.unreadable_count > 1
                   ? " and " + std::to_string(lineage_.unreadable_count - 1) + " others cannot be read"
                   : " cannot be read") +
              ", and may be a link of what is to be kept; repair it or move it elsewhere. Nothing was removed"};
    }
    if (could_not_look_ || !lineage_.is_complete) {
      return Error{ErrorCode::kIo, 0, "not all that may be needed could be looked at; nothing was removed"};
    }
    for (LineageEntry& entry : lineage_.entries) NameByFile(entry);
    return Status::Ok();
  }

  /// Calls a link to a file of the directory as that is called.
  void NameByFile(LineageEntry& entry) const {
    std::error_code error;
    if (!entry.is_archive || !std::filesystem::is_symlink(entry.path, error)) return;
    std::string real = RealPath(entry.path);
    if (DirectoryOf(real) != RealPath(directory_)) return;
    entry.name = BaseNameOf(real);
    entry.path = directory_ + "/" + entry.name;
  }

  /// Whether an archive is one that may be removed: directly in the directory, and not hidden.
  bool IsOwn(const LineageEntry& entry) const {
    return entry.is_archive && !entry.name.starts_with('.') && DirectoryOf(RealPath(entry.path)) == real_directory_ &&
           RealPath(DirectoryOf(entry.path)) == real_directory_;
  }

  bool IsRemoved(size_t number) const { return removed_.contains(lineage_.entries[number].path); }

  Status Choose(const PruneJournal& journal) {
    std::vector<size_t> own;
    std::set<size_t> patches;
    for (size_t i = 0; i < lineage_.entries.size(); ++i) {
      if (IsOwn(lineage_.entries[i])) own.push_back(i);
      if (lineage_.entries[i].is_archive && lineage_.entries[i].is_patch) patches.insert(i);
    }
    ChainFinder finder(lineage_, directories_);
    finder.Resolve(patches);
    std::set<size_t> bases;
    for (size_t patch : patches) {
      if (finder.ParentOf(patch).has_value()) bases.insert(*finder.ParentOf(patch));
    }
    FLYWEIGHT_ASSIGN(PruneChoice choice, ChoosePruned(lineage_, own, bases, options_));
    for (size_t number : own) {
      const LineageEntry& entry = lineage_.entries[number];
      if (!choice.selected.contains(number) && journal.Holds(entry)) choice.removed.insert(number);
    }
    for (size_t number : choice.selected) selected_.insert(lineage_.entries[number].path);
    for (size_t number : choice.removed) removed_.insert(lineage_.entries[number].path);
    report_.kept_count = own.size() - choice.removed.size();
    return Status::Ok();
  }

  /// What the user keeps, and what else stays of chains from which something goes.
  std::set<size_t> FindWatched() const {
    std::vector<size_t> chains = FindChains(lineage_);
    std::set<size_t> touched;
    for (size_t i = 0; i < chains.size(); ++i) {
      if (IsRemoved(i)) touched.insert(chains[i]);
    }
    std::set<size_t> watched;
    for (size_t i = 0; i < chains.size(); ++i) {
      const LineageEntry& entry = lineage_.entries[i];
      if (!entry.is_archive || IsRemoved(i)) continue;
      if (touched.contains(chains[i]) || selected_.contains(entry.path)) watched.insert(i);
    }
    return watched;
  }

  /// A model that is no archive takes the place of one that is removed only where it has all its bytes.
  Chains FindAllChains() const {
    Chains chains{ChainFinder(lineage_, directories_), ChainFinder(lineage_, directories_), FindWatched()};
    chains.all.Resolve(chains.watched);
    chains.staying.Resolve(
        chains.watched, [&](size_t number) { return !IsRemoved(number); },
        [&](size_t number, const std::string& path) { return chains.all.PlainBaseOf(number) != path; });
    return chains;
  }

  bool NeedsRebase(const Chains& chains, size_t number) const {
    return !chains.staying.IsFound(number) && chains.all.ParentOf(number).has_value() &&
           IsRemoved(*chains.all.ParentOf(number));
  }

  /// Errors: kBaseMismatch where something that stays cannot be traced to its base.
  static Status CheckAllAreFound(const ChainFinder& finder, const std::set<size_t>& watched) {
    for (size_t number : watched) {
      if (finder.IsFound(number)) continue;
      Error error = finder.WhyNot(number);
      error.message += "; nothing was removed";
      return error;
    }
    return Status::Ok();
  }

  Status CheckAllCanBeDone() const {
    for (const std::string& path : removed_) {
      if (path.ends_with(".001")) return InParts(path);
    }
    Chains chains = FindAllChains();
    FLYWEIGHT_TRY(CheckAllAreFound(chains.all, chains.watched));
    for (size_t number : chains.watched) {
      if (!NeedsRebase(chains, number)) continue;
      const LineageEntry& entry = lineage_.entries[number];
      if (!IsOwn(entry)) {
        return Error{ErrorCode::kInvalidArgument, 0,
                     "'" + entry.path + "' stands on '" + lineage_.entries[*chains.all.ParentOf(number)].path +
                         "', which would be removed; keep that, or move both into the directory that is pruned"};
      }
      if (entry.path.ends_with(".001")) return InParts(entry.path);
    }
    return Status::Ok();
  }

  static Error InParts(const std::string& path) {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + path + "' is in parts; join them first"};
  }

  Status WriteJournal(const PruneJournal& journal) const {
    std::vector<const LineageEntry*> removed;
    for (const LineageEntry& entry : lineage_.entries) {
      if (removed_.contains(entry.path)) removed.push_back(&entry);
    }
    return journal.Write(removed);
  }

  /// One archive at a time, those with the fewest links below them first, and the lineage is read anew each time: what
  /// an archive gives stays the same, so that what stands on it still fits.
  Status RebaseAll() {
    std::set<std::string> done;
    for (;;) {
      Chains chains = FindAllChains();
      FLYWEIGHT_TRY(CheckAllAreFound(chains.all, chains.watched));
      std::optional<size_t> next;
      for (size_t number : chains.watched) {
        if (!NeedsRebase(chains, number) || done.contains(lineage_.entries[number].path)) continue;
        if (!next.has_value() || chains.all.DepthOf(number) < chains.all.DepthOf(*next)) next = number;
      }
      if (!next.has_value()) return Status::Ok();
      done.insert(lineage_.entries[*next].path);
      Status status = RebaseOne(chains, *next);
      if (!status.ok()) return WithContext(status.take_error(), "'" + lineage_.entries[*next].path + "'");
      if (!options_.dry_run) FLYWEIGHT_TRY(ReadAgain());
    }
  }

  Status RebaseOne(const Chains& chains, size_t number) {
    const LineageEntry& entry = lineage_.entries[number];
    PruneStep step{.path = entry.path, .old_bytes = entry.archive_bytes, .new_bytes = entry.archive_bytes};
    std::vector<std::string> bases;
    size_t link = number;
    while (chains.all.ParentOf(link).has_value()) {
      link = *chains.all.ParentOf(link);
      if (!IsRemoved(link)) {
        bases = (chains.staying.IsFound(link) ? chains.staying : chains.all).BasesOf(link);
        bases.push_back(lineage_.entries[link].path);
        break;
      }
      step.new_bytes += lineage_.entries[link].archive_bytes;
    }
    if (bases.empty() && !chains.all.PlainBaseOf(link).empty()) bases = {chains.all.PlainBaseOf(link)};
    if (!bases.empty()) step.onto = bases.back();
    if (!options_.dry_run) {
      std::vector<std::string> lineage = chains.all.BasesOf(number);
      lineage.push_back(entry.path);
      FLYWEIGHT_ASSIGN(step.new_bytes, Pack(lineage, entry.path, std::move(bases)));
    }
    report_.freed_bytes += step.old_bytes - step.new_bytes;  // wraps round where it grew; the sum comes out right
    report_.steps.push_back(std::move(step));
    return Status::Ok();
  }

  Result<uint64_t> Pack(const std::vector<std::string>& lineage, const std::string& target,
                        std::vector<std::string> bases) const {
    CompressOptions options;
    options.bases = std::move(bases);
    options.thread_count = options_.thread_count;
    options.level = options_.level;
    options.overwrite = true;
    options.replace_source = true;
    options.progress = options_.progress;
    options.notice = options_.notice;
    FLYWEIGHT_ASSIGN(CompressSummary summary, Rebase(lineage, target, options));
    return summary.archive_bytes;
  }

  /// Looked at once more, on the disk: all that stays must be restorable without what is about to go.
  Status CheckNothingIsNeeded() {
    if (options_.dry_run) return Status::Ok();
    FLYWEIGHT_TRY(ReadAgain());
    for (const std::string& path : selected_) {
      bool is_there =
          std::ranges::any_of(lineage_.entries, [&](const LineageEntry& entry) { return entry.path == path; });
      if (!is_there) return Error{ErrorCode::kSourceChanged, 0, "'" + path + "' vanished; nothing was removed"};
    }
    Chains chains = FindAllChains();
    return CheckAllAreFound(chains.staying, chains.watched);
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
  std::vector<std::string> directories_;
  NoticeCallback notice_;
  std::string real_directory_ = RealPath(directory_);
  bool could_not_look_ = false;
  Lineage lineage_;
  std::set<std::string> selected_;  // paths
  std::set<std::string> removed_;   // paths
  PruneReport report_;
};

}  // namespace

Result<PruneReport> Prune(const std::string& directory, const PruneOptions& options) {
  return Guarded([&] { return Pruner(directory, options).Run(); });
}

}  // namespace flyweight
