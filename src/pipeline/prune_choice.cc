#include "pipeline/prune_choice.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "pipeline/member_filter.h"
#include "pipeline/sequence_bases.h"

namespace flyweight {
namespace {

bool IsDigit(char letter) { return letter >= '0' && letter <= '9'; }

/// "step-10.fly" for "step-10.fly.001".
std::string WholeName(const std::string& name) {
  return name.ends_with(".fly.001") ? name.substr(0, name.size() - 4) : name;
}

/// The last number in a name, without zeros in front; empty where there is none.
std::string LastNumber(const std::string& name) {
  size_t end = name.size();
  while (end > 0 && !IsDigit(name[end - 1])) --end;
  size_t begin = end;
  while (begin > 0 && IsDigit(name[begin - 1])) --begin;
  while (begin + 1 < end && name[begin] == '0') ++begin;
  return name.substr(begin, end - begin);
}

/// A name with "#" in place of each number.
std::string FormOf(const std::string& name) {
  std::string form;
  for (char letter : name) {
    if (!IsDigit(letter)) form += letter;
    if (IsDigit(letter) && !form.ends_with('#')) form += '#';
  }
  return form;
}

/// The last of some patches; those without a number in their name count as none of them, and stay.
std::vector<size_t> LastVersions(const Lineage& lineage, const std::vector<size_t>& patches, uint64_t count) {
  std::vector<size_t> kept;
  std::vector<std::pair<std::string, size_t>> versions;
  std::set<std::string> forms;
  for (size_t number : patches) {
    std::string name = WholeName(lineage.entries[number].name);
    if (LastNumber(name).empty()) {
      kept.push_back(number);
      continue;
    }
    forms.insert(FormOf(name));
    versions.emplace_back(std::move(name), number);
  }
  std::ranges::sort(versions,
                    [&](const auto& a, const auto& b) { return IsOlderName(a.first, b.first, forms.size() == 1); });
  size_t first = versions.size() - static_cast<size_t>(std::min<uint64_t>(count, versions.size()));
  for (size_t i = first; i < versions.size(); ++i) kept.push_back(versions[i].second);
  return kept;
}

}  // namespace

std::vector<size_t> FindChains(const Lineage& lineage) {
  std::vector<size_t> next(lineage.entries.size());
  std::iota(next.begin(), next.end(), size_t{0});
  auto first_of = [&](size_t number) {
    while (next[number] != number) number = next[number] = next[next[number]];
    return number;
  };
  std::map<std::string, size_t> holders;
  for (size_t i = 0; i < lineage.entries.size(); ++i) {
    const LineageEntry& entry = lineage.entries[i];
    for (const std::string& identity : {entry.identity_hex, entry.base_identity_hex}) {
      if (identity.empty()) continue;
      auto [holder, is_new] = holders.emplace(identity, i);
      if (!is_new) next[first_of(i)] = first_of(holder->second);
    }
  }
  std::vector<size_t> chains(lineage.entries.size());
  for (size_t i = 0; i < chains.size(); ++i) chains[i] = first_of(i);
  return chains;
}

bool IsOlderName(const std::string& a, const std::string& b, bool same_form) {
  if (same_form) return NaturalLess(a, b);
  std::string x = LastNumber(a);
  std::string y = LastNumber(b);
  if (x != y) return std::pair(x.size(), x) < std::pair(y.size(), y);
  return NaturalLess(a, b);
}

Result<PruneChoice> ChoosePruned(const Lineage& lineage, const std::vector<size_t>& own, const std::set<size_t>& bases,
                                 const PruneOptions& options) {
  PruneChoice choice;
  for (const std::string& pattern : options.keep) {
    bool matches = false;
    for (size_t number : own) {
      const std::string& name = lineage.entries[number].name;
      if (!MatchesPattern(pattern, name) && !MatchesPattern(pattern, WholeName(name))) continue;
      matches = true;
      choice.selected.insert(number);
    }
    if (matches) continue;
    return Error{ErrorCode::kInvalidArgument, 0,
                 "'" + pattern +
                     "' is to be kept, and no archive directly in the directory has that name; nothing was "
                     "done"};
  }
  std::vector<size_t> chains = FindChains(lineage);
  std::map<size_t, std::vector<size_t>> patches_of;
  for (size_t number : own) {
    if (lineage.entries[number].is_patch) patches_of[chains[number]].push_back(number);
  }
  if (options.keep_last > 0) {
    for (const auto& [chain, patches] : patches_of) {
      for (size_t number : LastVersions(lineage, patches, options.keep_last)) choice.selected.insert(number);
    }
  }
  std::set<size_t> kept_chains;
  for (size_t number : choice.selected) kept_chains.insert(chains[number]);
  for (size_t number : own) {
    bool may_go = lineage.entries[number].is_patch || (options.keep_last == 0 && bases.contains(number));
    bool is_of_kept = kept_chains.contains(chains[number]);
    if (may_go && is_of_kept && !choice.selected.contains(number)) choice.removed.insert(number);
  }
  return choice;
}

}  // namespace flyweight
