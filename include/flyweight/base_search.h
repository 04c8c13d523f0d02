#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

// Finding the model that another one was made from.

namespace flyweight {

struct BaseSearchOptions {
  std::vector<std::string> directories = {};  ///< which are searched, with all below them
  std::vector<std::string> exclude = {};      ///< paths that are no candidates, such as the archive to be written
  size_t thread_count = 0;                    ///< 0 = all CPUs
  NoticeCallback notice = {};
};

/// A model that might be the base, and what is estimated of it.
struct BaseCandidate {
  std::string path;
  uint64_t patch_bytes = 0;       ///< about what the variant would take as a patch over it
  uint64_t standalone_bytes = 0;  ///< about what it takes without a base
  double shared_part = 0;         ///< of the variant's bytes: in tensors that both have
  double changed_part = 0;        ///< of the weights of those
  uint64_t sample_count = 0;      ///< weights that were compared

  /// Whether the patch is smaller by more than the estimate can be wrong.
  bool pays() const;
};

struct BaseSearchResult {
  /// The best ones that have tensors in common with the variant, best first. The first is the base if it pays().
  std::vector<BaseCandidate> best;
  uint64_t candidate_count = 0;   ///< models that were looked at
  uint64_t unreadable_count = 0;  ///< files that looked like models but could not be read
  std::vector<std::string> same;  ///< archives left out, since they hold the very same model
  bool is_complete = true;        ///< false where there were more files than are looked at
};

/// Searches directories for the model that `variant`, a file, directory or archive, is a small change of. A candidate
/// is a file or archive with the suffix of one, or a directory that is one model: shards, or where the variant is a
/// directory too, model files beside a config.json. Of each its names, shapes and some 500 weights are read; the best
/// are looked at more closely. An archive of the variant itself is left out: a patch on it would stand on its own copy.
/// Where nothing seems to differ the variant is read whole to tell. Looks at most at 20,000 candidates. Errors: those
/// of reading the variant; kIo where a directory cannot be read.
Result<BaseSearchResult> FindBase(const std::string& variant, const BaseSearchOptions& options);

}  // namespace flyweight
