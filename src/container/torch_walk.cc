#include "container/torch_walk.h"

#include <utility>

namespace flyweight {
namespace {

constexpr size_t kMaxDepth = 500;
constexpr size_t kMaxKeyBytes = 1024;

bool IsContainer(PickleKind kind) {
  return kind == PickleKind::kTuple || kind == PickleKind::kList || kind == PickleKind::kDict;
}

bool IsStandardDictOfModules(std::string_view key) {
  return key == "_modules" || key == "_parameters" || key == "_buffers";
}

}  // namespace

TorchWalk::TorchWalk(const PickleTree& tree) : tree_(tree), entered_(tree.nodes.size()) {}

PickleNodeId TorchWalk::Next() {
  if (given_ != kNoPickleNode) EnterObject(std::exchange(given_, kNoPickleNode));
  while (true) {
    const bool is_root = std::exchange(at_root_, false);
    PickleNodeId value = is_root ? tree_.root : NextMember();
    if (value == kNoPickleNode) return value;
    PickleKind kind = tree_.node(value).kind;
    if (kind == PickleKind::kPersistent) return value;
    if (entered_[value]) continue;
    if (kind == PickleKind::kObject) {
      entered_[value] = true;
      return given_ = value;
    }
    if (IsContainer(kind)) Enter(value, is_root ? Naming::kMembers : NamingInside(frames_.back()));
  }
}

std::optional<std::string> TorchWalk::Path(size_t max_bytes) const {
  std::string path;
  for (const Frame& frame : frames_) {
    if (frame.current_item == kNoPickleItem) continue;
    std::string component = Component(frame);
    if (component.empty()) continue;
    if (!path.empty()) path += '.';
    path += component;
    if (path.size() > max_bytes) return std::nullopt;
  }
  return path;
}

void TorchWalk::Enter(PickleNodeId node, Naming naming) {
  if (frames_.size() >= kMaxDepth) return;
  entered_[node] = true;
  frames_.push_back({node, naming, tree_.node(node).first_item, kNoPickleItem});
}

void TorchWalk::EnterObject(PickleNodeId node) {
  const PickleNode& object = tree_.node(node);
  Enter(node, Naming::kMembers);
  bool makes_dict = tree_.IsGlobal(object.a, "collections", "OrderedDict");
  // Arguments stand above the object: they are walked first.
  if (tree_.Is(object.b, PickleKind::kTuple) && !entered_[object.b])
    Enter(object.b, makes_dict ? Naming::kDictArguments : Naming::kArguments);
}

/// The next member of the innermost container that has one left; kNoPickleNode at the end of the walk.
PickleNodeId TorchWalk::NextMember() {
  while (!frames_.empty()) {
    Frame& frame = frames_.back();
    if (frame.next_item != kNoPickleItem) {
      frame.current_item = frame.next_item;
      frame.item_count++;
      frame.next_item = tree_.items[frame.current_item].next;
      return tree_.items[frame.current_item].value;
    }
    frames_.pop_back();
  }
  return kNoPickleNode;
}

/// How the members of the current member are called.
TorchWalk::Naming TorchWalk::NamingInside(const Frame& frame) const {
  if (tree_.items[frame.current_item].key == kPickleStateKey) return Naming::kState;
  switch (frame.naming) {
    case Naming::kDictArguments:
      return Naming::kPairs;
    case Naming::kPairs:
      return Naming::kNothing;
    case Naming::kState:
      // The state of a class with slots is a pair of dicts.
      return tree_.Is(frame.node, PickleKind::kTuple) ? Naming::kState : Naming::kMembers;
    default:
      return Naming::kMembers;
  }
}

/// What the current member adds to a path; may be nothing.
std::string TorchWalk::Component(const Frame& frame) const {
  const PickleItem& item = tree_.items[frame.current_item];
  const uint32_t position = frame.item_count - 1;
  if (item.key == kPickleStateKey || frame.naming == Naming::kNothing) return {};
  switch (frame.naming) {
    case Naming::kArguments:
    case Naming::kDictArguments:
      return position == 0 ? std::string() : std::to_string(position);
    case Naming::kPairs: {
      uint32_t first = tree_.node(item.value).first_item;
      return KeyText(first == kNoPickleItem ? kNoPickleNode : tree_.items[first].value, position);
    }
    case Naming::kState:
      if (item.key == kNoPickleNode || IsStandardDictOfModules(tree_.Text(item.key))) return {};
      return KeyText(item.key, position);
    default:
      return KeyText(item.key, position);
  }
}

std::string TorchWalk::KeyText(PickleNodeId key, uint32_t position) const {
  if (tree_.Is(key, PickleKind::kText) && tree_.Text(key).size() <= kMaxKeyBytes) return std::string(tree_.Text(key));
  if (tree_.Is(key, PickleKind::kInt)) return std::to_string(tree_.Int(key));
  return std::to_string(position);
}

}  // namespace flyweight
