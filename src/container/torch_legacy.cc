#include "container/torch_legacy.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>
#include <vector>

#include "container/extent_list.h"
#include "container/pickle_scan.h"
#include "container/torch_storages.h"

namespace flyweight {
namespace {

/// 0x1950a86a20f9469cfc6c, little-endian.
constexpr std::string_view kMagicNumber("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kProtocolVersion = 1001;
constexpr uint64_t kCountBytes = 8;

/// Pickles are read in windows of this size, then of 8 times it and so on, as nothing tells their length.
constexpr uint64_t kFirstWindowBytes = uint64_t{64} << 10;

using ReadPickle = TorchLegacyHead::Pickle;

/// Scans the pickle at `offset`; nothing where there is none. Errors: those of reading.
Result<std::optional<ReadPickle>> ReadPickleAt(const ByteSource& source, uint64_t offset) {
  const uint64_t available_bytes = std::min(source.size() - offset, kPickleMaxBytes);
  for (uint64_t window_bytes = kFirstWindowBytes;; window_bytes *= 8) {
    ReadPickle pickle;
    pickle.bytes.resize(static_cast<size_t>(std::min(window_bytes, available_bytes)));
    FLYWEIGHT_TRY(source.ReadAt(offset, pickle.bytes));
    Result<PickleTree> tree = ScanPickle(pickle.bytes);
    if (tree.ok()) {
      pickle.tree = std::move(tree).value();
      return std::optional<ReadPickle>(std::move(pickle));
    }
    if (tree.error().code != ErrorCode::kTruncated || window_bytes >= available_bytes)
      return std::optional<ReadPickle>();
  }
}

bool IsHead(size_t number, const PickleTree& tree) {
  switch (number) {
    case 0:
      return tree.Is(tree.root, PickleKind::kBytes) && tree.Text(tree.root) == kMagicNumber;
    case 1:
      return tree.Is(tree.root, PickleKind::kInt) && tree.Int(tree.root) == kProtocolVersion;
    case 2:
      return tree.Is(tree.root, PickleKind::kDict);
    case 4:
      return tree.Is(tree.root, PickleKind::kList);
    default:
      return true;
  }
}

Result<std::optional<TorchLegacyHead>> ReadHead(const ByteSource& source) {
  TorchLegacyHead head;
  for (size_t number = 0; number < head.pickles.size(); number++) {
    FLYWEIGHT_ASSIGN(std::optional<ReadPickle> pickle, ReadPickleAt(source, head.data_offset));
    if (!pickle.has_value() || !IsHead(number, pickle->tree)) return std::optional<TorchLegacyHead>();
    head.data_offset += pickle->tree.pickle.size();
    head.pickles[number] = std::move(*pickle);
  }
  return std::optional<TorchLegacyHead>(std::move(head));
}

/// Whether the file says so of itself; without a word it is not.
bool IsBigEndian(const PickleTree& system) {
  uint32_t item = system.node(system.root).first_item;
  for (; item != kNoPickleItem; item = system.items[item].next) {
    const PickleItem& fact = system.items[item];
    if (system.Text(fact.key) == "little_endian" && system.Is(fact.value, PickleKind::kBool))
      return system.Int(fact.value) == 0;
  }
  return false;
}

using StoragesByKey = std::unordered_map<std::string_view, TorchStorage>;

StoragesByKey FindStorages(const TorchLegacyHead& head) {
  StoragesByKey by_key;
  for (TorchStorage& storage : FindTorchStorages(head.object(), "")) {
    if (IsBigEndian(head.system()) && Describe(storage.dtype).bits > 8) storage.dtype = DType::kOpaque;
    std::string_view key = storage.key;
    by_key.emplace(key, std::move(storage));
  }
  return by_key;
}

/// Adds one storage; false where what follows cannot be told.
Result<bool> AddStorage(const ByteSource& source, StoragesByKey& storages, std::string_view key, ExtentList& extents) {
  auto found = storages.find(key);
  uint64_t left_bytes = source.size() - extents.end_offset();
  if (found == storages.end() || left_bytes < kCountBytes) return false;
  TorchStorage& storage = found->second;
  if (storage.size_bytes > left_bytes - kCountBytes) return false;
  std::byte count[kCountBytes];
  FLYWEIGHT_TRY(source.ReadAt(extents.end_offset(), count));
  if (!TorchLegacyCountFits(LoadLe<uint64_t>(count), storage.size_bytes)) return false;
  extents.RawUntil(extents.end_offset() + kCountBytes);
  for (TorchTensor& tensor : storage.tensors)
    extents.Tensor(tensor.size_bytes, std::move(tensor.name), storage.dtype, std::move(tensor.shape));
  storages.erase(found);
  return true;
}

/// What such a file starts with, whatever protocol it was written with: PROTO, and the magic number soon.
bool LooksLikeTorchLegacy(ByteSpan first_bytes) {
  constexpr size_t kMagicWithin = 32;
  std::string_view start = AsText(first_bytes).substr(0, kMagicWithin);
  return !start.empty() && start.front() == '\x80' && start.find(kMagicNumber) != std::string_view::npos;
}

}  // namespace

Result<std::optional<TorchLegacyHead>> ReadTorchLegacyHead(const ByteSource& source) { return ReadHead(source); }

bool TorchLegacyCountFits(uint64_t count, uint64_t size_bytes) {
  if (count == 0 || size_bytes == 0) return count == size_bytes;
  uint64_t element_bytes = size_bytes / count;
  return size_bytes % count == 0 && element_bytes <= 16 && (element_bytes & (element_bytes - 1)) == 0;
}

Result<std::optional<FileMap>> AnnotateTorchLegacy(const ByteSource& source, ByteSpan first_bytes) {
  if (!LooksLikeTorchLegacy(first_bytes)) return std::optional<FileMap>();
  FLYWEIGHT_ASSIGN(std::optional<TorchLegacyHead> head, ReadHead(source));
  if (!head.has_value()) return std::optional<FileMap>();

  StoragesByKey storages = FindStorages(*head);
  ExtentList extents;
  extents.RawUntil(head->data_offset);
  const PickleTree& keys = head->keys();
  for (PickleNodeId key : keys.Values(keys.root, kPickleMaxItems)) {
    FLYWEIGHT_ASSIGN(bool added, AddStorage(source, storages, keys.Text(key), extents));
    if (!added) break;
  }
  extents.RawUntil(source.size());
  FileMap map{ContainerFormat::kTorchLegacy, extents.Release()};
  return std::optional<FileMap>(std::move(map));
}

}  // namespace flyweight
