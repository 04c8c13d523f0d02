#pragma once

#include <string>
#include <vector>

#include "flyweight/lineage.h"

namespace flyweight {

/// What a run of Prune that began to change a directory was going to remove: a hidden text file in it, so that the next
/// run with the same `keep` and `keep_last` finishes what an interrupted one left. Chains that were packed anew no
/// longer tell. It only ever adds to what is removed after the same checks, so that a lost or stale one does no harm.
class PruneJournal {
 public:
  PruneJournal(const std::string& directory, const PruneOptions& options);

  /// Whether an earlier run with the same options was going to remove an archive.
  bool Holds(const LineageEntry& entry) const;
  /// Errors: kIo.
  Status Write(const std::vector<const LineageEntry*>& removed) const;
  void Remove() const;

 private:
  std::string path_;
  std::string head_;
  std::vector<std::string> lines_;
};

}  // namespace flyweight
