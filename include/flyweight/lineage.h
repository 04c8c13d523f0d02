#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

// Which patches stand on which bases: found from the indexes of archives alone, by the identities in them.

namespace flyweight {

/// A model of a lineage: an archive, or a base that patches name.
struct LineageEntry {
  std::string path;  ///< empty where no file was found
  std::string name;  ///< without directory; of a base that was not found as the patches call it
  bool is_archive = false;
  bool is_patch = false;
  bool is_guess = false;  ///< a model file: with the name that patches give to their base, or one that samples fit
  bool was_looked_for = false;    ///< by FindPlainBases: of a guess samples were compared
  std::string other_path;         ///< has the name of the base, but other content
  std::string identity_hex;       ///< of the model that it is or gives
  std::string base_identity_hex;  ///< of patches
  std::string base_name;          ///< of patches
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;       ///< of what it gives
  std::optional<size_t> parent;  ///< number of what it stands on
  uint32_t depth = 0;            ///< links down to what is no patch

  bool is_missing() const { return path.empty(); }
};

struct Lineage {
  std::vector<LineageEntry> entries;          ///< each behind what it stands on; what stands on it follows
  uint64_t unreadable_count = 0;              ///< files with the suffix of archives that cannot be read
  std::vector<std::string> unreadable_paths;  ///< of these
  bool is_complete = true;                    ///< false where there were more files than are looked at
};

struct LineageOptions {
  NoticeCallback notice = {};
};

/// Reads the indexes of archives, and of all below directories, and puts patches behind what they stand on: where
/// several hold the same tensors one that has the name that the patch gives to its base, else one that is no patch,
/// else the one with the fewest links; whether it fits is not looked at. Where patches lead round in a ring, as one
/// that changes nothing does, the one whose base is a model file of its name stands on that. Decodes nothing. Errors:
/// kIo, and those of reading archives for paths that are named themselves.
Result<Lineage> ReadLineage(const std::vector<std::string>& paths, const LineageOptions& options);

/// Looks for the bases that no archive holds among the models below the directories of `paths`, whatever their names,
/// by comparing samples. Errors: those of reading the archives of the lineage.
Status FindPlainBases(Lineage& lineage, const std::vector<std::string>& paths);

/// What `patch` is to be applied to, found below `directories`: a base and the patches between, as
/// DecompressOptions::bases has them. Archives are found by identity; of several with one identity those that lack what
/// a link needs are passed over. Where the first base is none, model files and directories are tried, those of its name
/// first, by comparing samples. Empty where `patch` needs no base. Errors: kBaseMismatch, which names the link that is
/// missing or does not fit.
Result<std::vector<std::string>> FindBases(const std::string& patch, const std::vector<std::string>& directories,
                                           size_t thread_count);

/// Makes one patch out of a base and several patches on it, or moves a patch to another base. `lineage` is the old base
/// and the patches, the first made first; what the last of them gives is compressed as `options` say, on
/// `options.bases`, or without a base where that is empty. No model is restored to the disk. A lineage of one archive
/// that is no patch is allowed. Errors: those of Compress; kBaseMismatch where the lineage does not fit.
Result<CompressSummary> Rebase(const std::vector<std::string>& lineage, const std::string& target,
                               const CompressOptions& options);

// Pruning
// -------------------------------------------------------------------------------------------------------------------------------

struct PruneOptions {
  std::vector<std::string> keep = {};  ///< names of archives, or patterns with * and ?, without directory
  /// Of each chain also so many patches, the last by the numbers in their names, and what is no patch.
  uint64_t keep_last = 0;
  /// Further places where bases are, and where patches may be that need what is to be removed.
  std::vector<std::string> base_directories = {};
  bool dry_run = false;
  size_t thread_count = 0;
  Level level = Level::kBalanced;
  ProgressCallback progress = {};
  NoticeCallback notice = {};
};

/// What is done with an archive.
struct PruneStep {
  std::string path = {};
  bool is_removed = false;  ///< else it gets another base
  std::string onto = {};    ///< the path of that; empty: none any more
  uint64_t old_bytes = 0;
  uint64_t new_bytes = 0;  ///< of a dry run an estimate: it and the links that it is joined with
};

struct PruneReport {
  std::vector<PruneStep> steps;
  uint64_t kept_count = 0;
  uint64_t freed_bytes = 0;  ///< less what grew; wraps round where more grew than is freed
};

/// Removes archives directly in `directory` that are links of chains and are not to be kept; those in directories below
/// and hidden ones are only looked at. A chain is what identities connect: one of which nothing is to be kept stays as
/// it is, and with `keep_last` each is shortened by itself. Archives that are kept and stand on one that goes are first
/// packed anew on the nearest base that stays, read back and compared, and take their names. An archive that is no
/// patch and on which nothing stands is never removed. Before anything is changed, what every kept archive of these
/// chains stands on is found and checked; nothing is removed before all are packed anew and that was checked again.
/// Killed at any point, every version that is kept can be restored; the next run with the same `keep` and `keep_last`
/// finishes. Errors: kInvalidArgument (nothing is to be kept; a name or pattern that matches nothing; a patch elsewhere
/// needs what would be removed), kBaseMismatch (a link that is needed is missing), kIo (an archive or a directory that
/// cannot be read, which may be such a link), those of Compress.
Result<PruneReport> Prune(const std::string& directory, const PruneOptions& options);

}  // namespace flyweight
