#include "strip/flat_names.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace flyweight {
namespace {

using NameSet = std::unordered_set<std::string_view>;

/// What only optimizers call their tensors. Source: torch.optim and transformers.Adafactor, keys of `state`.
constexpr std::array<std::string_view, 12> kStateNames = {
    "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "square_avg",     "grad_avg",
    "exp_inf", "acc_delta",  "exp_avg_slow",   "exp_avg_sq_row",  "exp_avg_sq_col", "exp_avg_diff",
};
/// What they call others that stand beside those.
constexpr std::array<std::string_view, 8> kCompanionNames = {"step",      "mu_product", "sum", "prev",
                                                             "step_size", "eta",        "mu",  "ax"};
constexpr std::array<std::string_view, 8> kPrefixes = {
    "optimizer",   "optimizers", "optimizer_state", "optimizer_states", "optimizer_state_dict", "optim",
    "optim_state", "state"};
constexpr std::string_view kSeparators = "./";

template <size_t kCount>
bool IsOneOf(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view FirstComponent(std::string_view name) { return name.substr(0, name.find_first_of(kSeparators)); }

/// "optimizer.state.layer.weight" gives "layer.weight".
std::string_view WithoutPrefixes(std::string_view name) {
  while (IsOneOf(kPrefixes, FirstComponent(name))) {
    size_t length = FirstComponent(name).size();
    if (length == name.size()) break;
    name.remove_prefix(length + 1);
  }
  return name;
}

/// The name of what the state belongs to; empty where the last component is not `names`'.
template <size_t kCount>
std::string_view OwnerOf(std::string_view name, const std::array<std::string_view, kCount>& names) {
  size_t separator = name.find_last_of(kSeparators);
  if (separator == std::string_view::npos || !IsOneOf(names, name.substr(separator + 1))) return {};
  return name.substr(0, separator);
}

/// "PARAMETER_exp_avg" where PARAMETER is there.
bool IsSuffixed(std::string_view name, const NameSet& all) {
  return std::ranges::any_of(kStateNames, [&](std::string_view state) {
    if (name.size() < state.size() + 2 || !name.ends_with(state) || name[name.size() - state.size() - 1] != '_')
      return false;
    return all.contains(WithoutPrefixes(name.substr(0, name.size() - state.size() - 1)));
  });
}

bool IsState(std::string_view name, const NameSet& all) {
  std::string_view owner = OwnerOf(name, kStateNames);
  if (owner.empty()) return IsSuffixed(name, all);
  return IsOneOf(kPrefixes, FirstComponent(owner)) || all.contains(WithoutPrefixes(owner));
}

}  // namespace

std::vector<bool> ChooseFlatNames(const std::vector<std::string_view>& names, const StripRequest& request) {
  std::vector<bool> chosen(names.size());
  for (size_t i = 0; i < names.size(); i++) chosen[i] = request.Matches(names[i]);
  if (!request.optimizer) return chosen;

  const NameSet all(names.begin(), names.end());
  NameSet owners;
  for (size_t i = 0; i < names.size(); i++) {
    if (!IsState(names[i], all)) continue;
    chosen[i] = true;
    if (std::string_view owner = OwnerOf(names[i], kStateNames); !owner.empty()) owners.insert(owner);
  }
  for (size_t i = 0; i < names.size(); i++) {
    std::string_view owner = OwnerOf(names[i], kCompanionNames);
    if (!owner.empty() && owners.contains(owner)) chosen[i] = true;
  }
  return chosen;
}

}  // namespace flyweight
