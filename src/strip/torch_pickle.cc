#include "strip/torch_pickle.h"

#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "container/torch_storages.h"
#include "strip/formats.h"
#include "strip/pickle_choice.h"
#include "strip/pickle_edit.h"

namespace flyweight {
namespace {

using KeySet = std::unordered_set<std::string>;

/// The class and the count of a reference to a storage; empty where they are not what they should be.
std::string TypeOf(const PickleTree& tree, const std::vector<PickleNodeId>& parts) {
  if (!tree.Is(parts[1], PickleKind::kGlobal) || !tree.Is(parts[4], PickleKind::kInt)) return {};
  const PickleNode& global = tree.node(parts[1]);
  return std::string(tree.Text(global.a)) + " " + std::string(tree.Text(global.b)) + " " +
         std::to_string(tree.Int(parts[4]));
}

/// The keys of all storages that the pickle refers to, by ('storage', class, key, device, count[, view]).
Result<KeySet> StorageKeys(const PickleTree& tree) {
  KeySet keys;
  std::unordered_map<std::string_view, std::string> types;
  for (PickleNodeId id = 0; id < tree.nodes.size(); id++) {
    if (!tree.Is(id, PickleKind::kPersistent)) continue;
    const std::vector<PickleNodeId> parts = tree.Values(tree.node(id).a, 7);
    // Old files keep the source text of classes as ('module', ...).
    if (!parts.empty() && tree.Text(parts[0]) == "module") continue;
    const bool is_storage = parts.size() >= 5 && parts.size() <= 6 && tree.Text(parts[0]) == "storage" &&
                            tree.Is(parts[2], PickleKind::kText) && !tree.Text(parts[2]).empty();
    if (!is_storage) return CannotStrip("its pickle refers to storages in an unknown way");
    if (parts.size() == 6 && !tree.Is(parts[5], PickleKind::kNone))
      return CannotStrip("its pickle refers to parts of storages");
    // The first reference decides what torch takes a storage for, and it may be the one that goes.
    const std::string type = TypeOf(tree, parts);
    if (type.empty() || types.emplace(tree.Text(parts[2]), type).first->second != type)
      return CannotStrip("its pickle gives a storage two types");
    keys.emplace(tree.Text(parts[2]));
  }
  return keys;
}

/// Names of the storages that go, and the paths of entries that hold none of them.
std::vector<RemovedTensor> ListRemoved(const PickleTree& tree, const KeySet& unused_keys,
                                       const std::vector<ChosenEntry>& chosen) {
  std::vector<RemovedTensor> removed;
  std::set<std::string> names;
  KeySet unnamed = unused_keys;
  for (const TorchStorage& storage : FindTorchStorages(tree, "")) {
    if (unnamed.erase(std::string(storage.key)) == 0) continue;
    for (const TorchTensor& tensor : storage.tensors) {
      removed.push_back({tensor.name, tensor.size_bytes});
      names.insert(tensor.name);
    }
  }
  for (const std::string& key : std::set<std::string>(unnamed.begin(), unnamed.end()))
    removed.push_back({"storage." + key, 0});
  for (const ChosenEntry& entry : chosen) {
    auto below = names.lower_bound(entry.path + ".");
    const bool is_listed = names.contains(entry.path) || (below != names.end() && below->starts_with(entry.path + "."));
    if (!is_listed) removed.push_back({entry.path, 0});
  }
  return removed;
}

}  // namespace

Result<std::optional<StrippedPickle>> StripTorchPickle(const PickleTree& tree, const StripRequest& request) {
  FLYWEIGHT_ASSIGN(std::vector<ChosenEntry> chosen, ChoosePickleEntries(tree, request));
  if (chosen.empty()) return std::optional<StrippedPickle>();
  std::vector<uint32_t> items;
  for (const ChosenEntry& entry : chosen) items.push_back(entry.item);

  StrippedPickle stripped;
  FLYWEIGHT_ASSIGN(stripped.bytes, RemovePickleItems(tree, items));
  FLYWEIGHT_ASSIGN(PickleTree edited, ScanPickle(stripped.bytes));
  FLYWEIGHT_ASSIGN(KeySet old_keys, StorageKeys(tree));
  FLYWEIGHT_ASSIGN(KeySet new_keys, StorageKeys(edited));
  for (const std::string& key : old_keys) {
    if (!new_keys.contains(key)) stripped.unused_keys.insert(key);
  }
  stripped.removed = ListRemoved(tree, stripped.unused_keys, chosen);
  return std::optional<StrippedPickle>(std::move(stripped));
}

}  // namespace flyweight
