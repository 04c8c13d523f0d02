#pragma once

#include <set>
#include <string>
#include <vector>

#include "flyweight/lineage.h"

namespace flyweight {

/// Which chain each entry of a lineage belongs to, by number: what identities connect, over links that are missing too.
/// Chains of different models have none in common.
std::vector<size_t> FindChains(const Lineage& lineage);

/// True where version `a` of a chain is older than `b` by the numbers in their names: all of them, from the left, where
/// `same_form` says that names differ in numbers only, else the last one. Precondition: the names have numbers.
bool IsOlderName(const std::string& a, const std::string& b, bool same_form);

/// What is removed from a directory, and what the user said is kept; numbers of entries.
struct PruneChoice {
  std::set<size_t> removed;
  std::set<size_t> selected;
};

/// Chooses among `own`, the archives that may be removed. `bases` are archives that are no patches and have something
/// that stands on them. Errors: kInvalidArgument, where something that is to be kept is none of them.
Result<PruneChoice> ChoosePruned(const Lineage& lineage, const std::vector<size_t>& own, const std::set<size_t>& bases,
                                 const PruneOptions& options);

}  // namespace flyweight
