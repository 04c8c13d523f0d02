#include "container/torch_storages.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/checked.h"
#include "container/torch_types.h"
#include "container/torch_walk.h"

namespace flyweight {
namespace {

constexpr size_t kMaxNameBytes = 65535;
constexpr size_t kMaxAllNamesBytes = size_t{16} << 20;
constexpr size_t kMaxKeyBytes = 1024;
constexpr size_t kMaxRank = 64;
constexpr uint64_t kMaxStorageBytes = uint64_t{1} << 61;

/// What a persistent id says: ('storage', class, key, device, count[, view]).
struct StorageReference {
  std::string_view key;
  uint64_t count = 0;                   ///< of elements; of bytes where the class is untyped
  std::optional<TorchElement> element;  ///< nothing: untyped
  bool is_view = false;                 ///< a part of the storage, as very old versions wrote it
};

/// A tensor as the pickle would have it made.
struct TensorReference {
  StorageReference storage;
  std::optional<TorchElement> element;  ///< of the tensor, where its storage is untyped
  bool has_element = false;
  bool has_layout = false;  ///< offset, sizes and strides are known
  uint64_t offset = 0;
  Shape sizes;
  Shape strides;
};

std::optional<StorageReference> ReadStorage(const PickleTree& tree, PickleNodeId node) {
  if (!tree.Is(node, PickleKind::kPersistent) || !tree.Is(tree.node(node).a, PickleKind::kTuple)) return std::nullopt;
  std::vector<PickleNodeId> id = tree.Values(tree.node(node).a, 6);
  if (id.size() < 5 || tree.Text(id[0]) != "storage" || !tree.Is(id[1], PickleKind::kGlobal)) return std::nullopt;
  StorageReference storage{.key = tree.Text(id[2]), .element = {}};
  if (storage.key.empty() || storage.key.size() > kMaxKeyBytes) return std::nullopt;
  if (!tree.Is(id[4], PickleKind::kInt) || tree.Int(id[4]) < 0) return std::nullopt;
  storage.count = static_cast<uint64_t>(tree.Int(id[4]));
  storage.is_view = id.size() == 6 && !tree.Is(id[5], PickleKind::kNone);

  std::string_view class_name = tree.Text(tree.node(id[1]).b);
  storage.element = TorchElementOfStorage(class_name);
  if (!storage.element.has_value() && class_name != "UntypedStorage") return std::nullopt;
  return storage;
}

std::optional<Shape> ReadNumbers(const PickleTree& tree, PickleNodeId node) {
  if (!tree.Is(node, PickleKind::kTuple) && !tree.Is(node, PickleKind::kList)) return std::nullopt;
  Shape numbers;
  for (PickleNodeId value : tree.Values(node, kMaxRank + 1)) {
    if (!tree.Is(value, PickleKind::kInt) || tree.Int(value) < 0) return std::nullopt;
    numbers.push_back(static_cast<uint64_t>(tree.Int(value)));
  }
  return numbers.size() <= kMaxRank ? std::optional(numbers) : std::nullopt;
}

void ReadLayout(const PickleTree& tree, const std::vector<PickleNodeId>& arguments, TensorReference& tensor) {
  if (arguments.size() < 4 || !tree.Is(arguments[1], PickleKind::kInt) || tree.Int(arguments[1]) < 0) return;
  std::optional<Shape> sizes = ReadNumbers(tree, arguments[2]);
  std::optional<Shape> strides = ReadNumbers(tree, arguments[3]);
  if (!sizes.has_value() || !strides.has_value() || sizes->size() != strides->size()) return;
  tensor.has_layout = true;
  tensor.offset = static_cast<uint64_t>(tree.Int(arguments[1]));
  tensor.sizes = std::move(*sizes);
  tensor.strides = std::move(*strides);
}

/// `callable`(storage, offset, sizes, strides, ...) of torch._utils: _rebuild_tensor, _v2, _v3, _rebuild_qtensor. The
/// third version has the dtype as its seventh argument.
std::optional<TensorReference> ReadTensorCall(const PickleTree& tree, PickleNodeId callable, PickleNodeId arguments) {
  if (!tree.Is(callable, PickleKind::kGlobal) || tree.Text(tree.node(callable).a) != "torch._utils")
    return std::nullopt;
  std::vector<PickleNodeId> values = tree.Values(arguments, 7);
  if (values.empty()) return std::nullopt;
  std::optional<StorageReference> storage = ReadStorage(tree, values[0]);
  if (!storage.has_value()) return std::nullopt;
  TensorReference tensor{.storage = std::move(*storage), .element = {}, .sizes = {}, .strides = {}};
  ReadLayout(tree, values, tensor);
  if (tree.Text(tree.node(callable).b) == "_rebuild_tensor_v3" && values.size() == 7) {
    tensor.has_element = true;
    if (tree.Is(values[6], PickleKind::kGlobal))
      tensor.element = TorchElementOfDType(tree.Text(tree.node(values[6]).b));
  }
  return tensor;
}

/// A subclass of Tensor is _rebuild_from_type_v2(rebuild function, type, its arguments, state).
std::optional<TensorReference> ReadTensor(const PickleTree& tree, PickleNodeId node, bool& has_more_inside) {
  const PickleNode& object = tree.node(node);
  has_more_inside = tree.IsGlobal(object.a, "torch._tensor", "_rebuild_from_type_v2");
  if (!has_more_inside) return ReadTensorCall(tree, object.a, object.b);
  std::vector<PickleNodeId> values = tree.Values(object.b, 3);
  return values.size() == 3 ? ReadTensorCall(tree, values[0], values[2]) : std::nullopt;
}

/// The number of the tensor's elements where they lie in a row, else nothing.
std::optional<uint64_t> CountInARow(const TensorReference& tensor) {
  if (!tensor.has_layout || tensor.storage.is_view) return std::nullopt;
  // The strides of an empty tensor mean nothing.
  if (std::ranges::find(tensor.sizes, uint64_t{0}) != tensor.sizes.end()) return 0;
  uint64_t count = 1;
  for (size_t i = tensor.sizes.size(); i-- > 0;) {
    if (tensor.sizes[i] != 1 && tensor.strides[i] != count) return std::nullopt;
    std::optional<uint64_t> product = CheckedMul(count, tensor.sizes[i]);
    if (!product.has_value()) return std::nullopt;
    count = *product;
  }
  return count;
}

/// The shape in elements of the dtype. Precondition: the product of `sizes` is under 2^63.
Shape ShapeOf(Shape sizes, const TorchElement& element) {
  if (!element.is_pair) return sizes;
  if (sizes.empty()) return {2};
  sizes.back() *= 2;
  return sizes;
}

/// A tensor's place in its storage, in elements of the storage.
struct Part {
  uint64_t offset = 0;
  uint64_t count = 0;
  size_t number = 0;  ///< in the order of the walk
  std::string name;
  Shape sizes;
};

struct Found {
  std::string_view key;
  uint64_t size_bytes = 0;
  TorchElement element;
  bool has_element = false;
  bool is_untyped = false;
  bool has_whole_part = false;  ///< then it is the only part
  bool has_clashing_types = false;
  bool has_clashing_sizes = false;
  std::vector<Part> parts;

  uint64_t count() const { return size_bytes / element.bytes; }
};

std::string StorageName(const Found& found, std::string_view name_prefix) {
  return std::string(name_prefix) + "storage." + std::string(found.key);
}

/// Sorts the parts; false unless they fill the storage one behind the other. Of several at one place the first counts.
bool FillInARow(Found& found) {
  std::vector<Part>& parts = found.parts;
  std::ranges::sort(parts, {}, [](const Part& part) { return std::tuple(part.offset, part.count, part.number); });
  auto same_place = [](const Part& a, const Part& b) { return a.offset == b.offset && a.count == b.count; };
  parts.erase(std::unique(parts.begin(), parts.end(), same_place), parts.end());
  uint64_t end = 0;
  for (const Part& part : parts) {
    if (part.offset != end || part.count > found.count() - end) return false;
    end += part.count;
  }
  return end == found.count() && !parts.empty();
}

TorchStorage Annotated(Found found, std::string_view name_prefix) {
  if (found.has_clashing_types) {
    found.element = TorchElement{};
    found.parts.clear();
  }
  if (!FillInARow(found)) {
    found.parts.assign(1, {0, found.count(), 0, StorageName(found, name_prefix), {found.count()}});
  }
  TorchStorage storage{.key = found.key, .size_bytes = found.size_bytes, .dtype = found.element.dtype, .tensors = {}};
  storage.tensors.reserve(found.parts.size());
  for (Part& part : found.parts) {
    storage.tensors.push_back(
        {std::move(part.name), ShapeOf(std::move(part.sizes), found.element), part.count * found.element.bytes});
  }
  return storage;
}

class StorageCollector {
 public:
  StorageCollector(const PickleTree& tree, std::string_view name_prefix)
      : tree_(tree), walk_(tree), name_prefix_(name_prefix.substr(0, kMaxKeyBytes)) {}

  std::vector<TorchStorage> Collect() {
    for (PickleNodeId node = walk_.Next(); node != kNoPickleNode; node = walk_.Next()) {
      if (tree_.Is(node, PickleKind::kPersistent)) {
        AddBareStorage(node);
      } else {
        AddTensor(node);
      }
    }
    std::vector<TorchStorage> storages;
    storages.reserve(found_.size());
    for (Found& found : found_) {
      if (!found.has_clashing_sizes && found.size_bytes % found.element.bytes == 0)
        storages.push_back(Annotated(std::move(found), name_prefix_));
    }
    return storages;
  }

 private:
  void AddTensor(PickleNodeId node) {
    bool has_more_inside = false;
    std::optional<TensorReference> tensor = ReadTensor(tree_, node, has_more_inside);
    if (!tensor.has_value()) return;
    if (!has_more_inside) walk_.PassOver();
    Found* found = Register(tensor->storage);
    if (found == nullptr) return;
    if (found->is_untyped && tensor->has_element) SetElement(*found, tensor->element);
    std::optional<uint64_t> count = CountInARow(*tensor);
    if (count.has_value()) AddPart(*found, tensor->offset, *count, std::move(tensor->sizes));
  }

  /// A storage that stands by itself, or in a call nobody knows.
  void AddBareStorage(PickleNodeId node) {
    std::optional<StorageReference> reference = ReadStorage(tree_, node);
    if (!reference.has_value() || numbers_.contains(reference->key)) return;
    Found* found = Register(*reference);
    if (found != nullptr && !reference->is_view) AddPart(*found, 0, reference->count, {reference->count});
  }

  /// The storage's entry; nothing where its size is impossible or not what it was before.
  Found* Register(const StorageReference& reference) {
    uint64_t element_bytes = reference.element.has_value() ? reference.element->bytes : 1;
    std::optional<uint64_t> size_bytes = CheckedMul(reference.count, element_bytes);
    if (!size_bytes.has_value() || *size_bytes > kMaxStorageBytes) return nullptr;
    auto [place, is_new] = numbers_.try_emplace(reference.key, found_.size());
    if (is_new) {
      found_.push_back({.key = reference.key,
                        .size_bytes = *size_bytes,
                        .element = reference.element.value_or(TorchElement{}),
                        .has_element = reference.element.has_value(),
                        .is_untyped = !reference.element.has_value(),
                        .parts = {}});
    }
    Found& found = found_[place->second];
    if (found.size_bytes != *size_bytes) found.has_clashing_sizes = true;
    if (reference.element.has_value() && reference.element->dtype != found.element.dtype)
      found.has_clashing_types = true;
    return found.has_clashing_sizes ? nullptr : &found;
  }

  static void SetElement(Found& found, const std::optional<TorchElement>& element) {
    TorchElement wanted = element.value_or(TorchElement{});
    if (!found.has_element) found.element = wanted;
    found.has_element = true;
    if (found.element.dtype != wanted.dtype || found.element.bytes != wanted.bytes) found.has_clashing_types = true;
  }

  /// The walk stands at the tensor.
  void AddPart(Found& found, uint64_t offset, uint64_t count, Shape sizes) {
    bool is_whole = offset == 0 && count == found.count();
    if (found.has_whole_part || (count == 0 && !is_whole)) return;
    if (all_names_bytes_ >= kMaxAllNamesBytes) return;
    std::optional<std::string> path = walk_.Path(kMaxNameBytes - name_prefix_.size());
    all_names_bytes_ += path.has_value() ? path->size() : kMaxNameBytes;
    if (!path.has_value()) return;
    if (is_whole) found.parts.clear();
    found.has_whole_part = is_whole;
    std::string name = path->empty() ? StorageName(found, name_prefix_) : std::string(name_prefix_) + *path;
    found.parts.push_back({offset, count, found.parts.size(), std::move(name), std::move(sizes)});
  }

  const PickleTree& tree_;
  TorchWalk walk_;
  std::string_view name_prefix_;
  std::vector<Found> found_;
  std::unordered_map<std::string_view, size_t> numbers_;
  size_t all_names_bytes_ = 0;
};

}  // namespace

std::vector<TorchStorage> FindTorchStorages(const PickleTree& tree, std::string_view name_prefix) {
  return StorageCollector(tree, name_prefix).Collect();
}

}  // namespace flyweight
