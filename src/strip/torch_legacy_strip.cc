#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "container/torch_legacy.h"
#include "container/torch_storages.h"
#include "strip/formats.h"
#include "strip/pickle_edit.h"
#include "strip/torch_pickle.h"

namespace flyweight {
namespace {

constexpr uint64_t kCountBytes = 8;
constexpr size_t kObjectPickle = 3;

/// A storage behind the pickles, its count included.
struct Place {
  std::string key;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

/// All storages in the order of the list of keys. Errors: kUnsupportedFeature unless they fill the file.
Result<std::vector<Place>> FindPlaces(const ByteSource& source, const TorchLegacyHead& head) {
  std::unordered_map<std::string_view, uint64_t> sizes;
  const std::vector<TorchStorage> storages = FindTorchStorages(head.object(), "");
  for (const TorchStorage& storage : storages) sizes.emplace(storage.key, storage.size_bytes);
  std::vector<Place> places;
  uint64_t at = head.data_offset;
  for (PickleNodeId id : head.keys().Values(head.keys().root, kPickleMaxItems)) {
    auto size = sizes.find(head.keys().Text(id));
    const uint64_t left_bytes = source.size() - at;
    if (size == sizes.end() || left_bytes < kCountBytes || size->second > left_bytes - kCountBytes)
      return CannotStrip("the place of its storages is not certain");
    std::byte count[kCountBytes];
    FLYWEIGHT_TRY(source.ReadAt(at, count));
    if (!TorchLegacyCountFits(LoadLe<uint64_t>(count), size->second))
      return CannotStrip("a storage of it has another size than its pickle says");
    places.push_back({std::string(size->first), at, kCountBytes + size->second});
    at += places.back().size_bytes;
    sizes.erase(size);
  }
  if (at != source.size()) return CannotStrip("bytes that belong to no storage lie at its end");
  return places;
}

std::vector<uint32_t> ItemsOfKeys(const PickleTree& keys, const std::unordered_set<std::string>& wanted) {
  std::vector<uint32_t> items;
  for (uint32_t item = keys.node(keys.root).first_item; item != kNoPickleItem; item = keys.items[item].next) {
    if (wanted.contains(std::string(keys.Text(keys.items[item].value)))) items.push_back(item);
  }
  return items;
}

}  // namespace

Result<std::optional<StripPlan>> StripTorchLegacy(const ByteSource& source, const StripRequest& request) {
  FLYWEIGHT_ASSIGN(std::optional<TorchLegacyHead> head, ReadTorchLegacyHead(source));
  if (!head.has_value()) return std::optional<StripPlan>();
  FLYWEIGHT_ASSIGN(std::optional<StrippedPickle> stripped, StripTorchPickle(head->object(), request));
  if (!stripped.has_value()) return std::optional<StripPlan>();

  FLYWEIGHT_ASSIGN(std::vector<Place> places, FindPlaces(source, *head));
  FLYWEIGHT_ASSIGN(std::vector<std::byte> keys,
                   RemovePickleItems(head->keys(), ItemsOfKeys(head->keys(), stripped->unused_keys)));
  uint64_t object_offset = 0;
  for (size_t i = 0; i < kObjectPickle; i++) object_offset += head->pickles[i].tree.pickle.size();
  StripPlan plan;
  plan.edits.Keep(0, object_offset);
  plan.edits.Insert(std::move(stripped->bytes));
  plan.edits.Insert(std::move(keys));
  for (const Place& place : places) {
    if (!stripped->unused_keys.contains(place.key)) plan.edits.Keep(place.offset, place.size_bytes);
  }
  plan.removed = std::move(stripped->removed);
  return std::optional<StripPlan>(std::move(plan));
}

}  // namespace flyweight
