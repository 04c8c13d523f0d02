#include <utility>

#include "strip/pickle_edit.h"

namespace flyweight {
namespace {

constexpr size_t kMaxSteps = size_t{1} << 25;

/// Walks two graphs of values side by side.
class Comparison {
 public:
  Comparison(const PickleTree& original, const PickleTree& edited, const std::vector<uint32_t>& items)
      : original_(original),
        edited_(edited),
        goes_(original.items.size()),
        partner_(original.nodes.size(), kNoPickleNode),
        reverse_(edited.nodes.size(), kNoPickleNode) {
    for (uint32_t item : items) goes_[item] = true;
  }

  bool AreEqual() {
    Push(original_.root, edited_.root);
    for (size_t steps = 0; !pairs_.empty(); steps++) {
      auto [a, b] = pairs_.back();
      pairs_.pop_back();
      if (steps > kMaxSteps || !Step(a, b)) return false;
    }
    return true;
  }

 private:
  void Push(PickleNodeId a, PickleNodeId b) { pairs_.emplace_back(a, b); }

  /// Whether it matters that two places hold the same value and not equal ones.
  static bool HasIdentity(PickleKind kind) {
    return kind == PickleKind::kList || kind == PickleKind::kDict || kind == PickleKind::kObject;
  }

  bool Step(PickleNodeId a, PickleNodeId b) {
    if (a >= original_.nodes.size() || b >= edited_.nodes.size()) return a == b;  // keys that are none
    const PickleNode& x = original_.node(a);
    const PickleNode& y = edited_.node(b);
    if (x.kind != y.kind) return false;
    if (partner_[a] == b) return true;
    if (HasIdentity(x.kind)) {
      if (partner_[a] != kNoPickleNode || reverse_[b] != kNoPickleNode) return false;
      reverse_[b] = a;
    }
    partner_[a] = b;
    return ContentIsEqual(a, b, x, y);
  }

  bool ContentIsEqual(PickleNodeId a, PickleNodeId b, const PickleNode& x, const PickleNode& y) {
    switch (x.kind) {
      case PickleKind::kUnknown:
      case PickleKind::kNone:
        return true;
      case PickleKind::kBool:
      case PickleKind::kInt:
        return x.a == y.a && x.b == y.b;
      case PickleKind::kText:
      case PickleKind::kBytes:
        return original_.Text(a) == edited_.Text(b);
      case PickleKind::kPersistent:
        Push(x.a, y.a);
        return true;
      case PickleKind::kGlobal:
        Push(x.a, y.a);
        Push(x.b, y.b);
        return true;
      case PickleKind::kObject:
        Push(x.a, y.a);
        Push(x.b, y.b);
        return PushItems(x, y);
      case PickleKind::kTuple:
      case PickleKind::kList:
      case PickleKind::kDict:
        return PushItems(x, y);
    }
    return false;
  }

  bool PushItems(const PickleNode& x, const PickleNode& y) {
    uint32_t in_edited = y.first_item;
    for (uint32_t item = x.first_item; item != kNoPickleItem; item = original_.items[item].next) {
      if (goes_[item]) continue;
      if (in_edited == kNoPickleItem) return false;
      Push(original_.items[item].key, edited_.items[in_edited].key);
      Push(original_.items[item].value, edited_.items[in_edited].value);
      in_edited = edited_.items[in_edited].next;
    }
    return in_edited == kNoPickleItem;
  }

  const PickleTree& original_;
  const PickleTree& edited_;
  std::vector<bool> goes_;
  std::vector<PickleNodeId> partner_;  ///< by node of the original
  std::vector<PickleNodeId> reverse_;
  std::vector<std::pair<PickleNodeId, PickleNodeId>> pairs_;
};

}  // namespace

bool IsPickleWithout(const PickleTree& original, const PickleTree& edited, const std::vector<uint32_t>& items) {
  return Comparison(original, edited, items).AreEqual();
}

}  // namespace flyweight
