#include "strip/pickle_choice.h"

#include <algorithm>

#include "strip/formats.h"

namespace flyweight {
namespace {

constexpr size_t kMaxDepth = 500;
constexpr size_t kMaxKeyBytes = 1024;
/// The state of an optimizer has two or three entries, one of its groups some ten.
constexpr size_t kMaxStateEntries = 64;
constexpr size_t kMaxGroups = 4096;

bool IsDict(const PickleTree& tree, PickleNodeId id) {
  if (tree.Is(id, PickleKind::kDict)) return true;
  if (!tree.Is(id, PickleKind::kObject)) return false;
  const PickleNodeId callable = tree.node(id).a;
  return tree.IsGlobal(callable, "collections", "OrderedDict") || tree.IsGlobal(callable, "collections", "defaultdict");
}

bool IsSequence(const PickleTree& tree, PickleNodeId id) {
  return tree.Is(id, PickleKind::kList) || tree.Is(id, PickleKind::kTuple);
}

/// A tensor, a parameter or a bare storage.
bool IsTensor(const PickleTree& tree, PickleNodeId id) {
  if (tree.Is(id, PickleKind::kPersistent)) return true;
  if (!tree.Is(id, PickleKind::kObject) || !tree.Is(tree.node(id).a, PickleKind::kGlobal)) return false;
  std::string_view module = tree.Text(tree.node(tree.node(id).a).a);
  return module == "torch._utils" || module == "torch._tensor";
}

/// The value under a key among the first `limit` entries; kNoPickleNode where there is none.
PickleNodeId ValueOf(const PickleTree& tree, PickleNodeId dict, std::string_view key, size_t limit) {
  uint32_t item = tree.node(dict).first_item;
  for (size_t i = 0; item != kNoPickleItem && i < limit; i++, item = tree.items[item].next) {
    if (tree.Is(tree.items[item].key, PickleKind::kText) && tree.Text(tree.items[item].key) == key)
      return tree.items[item].value;
  }
  return kNoPickleNode;
}

/// Finds states of optimizers by their form. Each value is judged once, however often it is shared.
class OptimizerFinder {
 public:
  explicit OptimizerFinder(const PickleTree& tree) : tree_(tree), verdicts_(tree.nodes.size()) {}

  /// One optimizer's state, or a list of several as Lightning writes it.
  bool HoldsState(PickleNodeId id) {
    if (!IsSequence(tree_, id)) return IsState(id);
    return Judge(id, kHoldsKnown, kHolds,
                 [&] { return AllOf(id, [&](PickleNodeId state) { return IsState(state); }); });
  }

 private:
  // Bits of a verdict.
  static constexpr uint8_t kStateKnown = 1, kState = 2, kHoldsKnown = 4, kHolds = 8, kGroupsKnown = 16, kGroups = 32;

  template <typename Judgement>
  bool Judge(PickleNodeId id, uint8_t known_bit, uint8_t bit, const Judgement& judgement) {
    uint8_t& verdict = verdicts_[id];
    if ((verdict & known_bit) == 0) verdict = static_cast<uint8_t>(verdict | known_bit | (judgement() ? bit : 0));
    return (verdict & bit) != 0;
  }

  template <typename Predicate>
  bool AllOf(PickleNodeId sequence, const Predicate& predicate) const {
    const std::vector<PickleNodeId> values = tree_.Values(sequence, kMaxGroups + 1);
    return !values.empty() && values.size() <= kMaxGroups && std::ranges::all_of(values, predicate);
  }

  bool IsState(PickleNodeId id) {
    if (!IsDict(tree_, id)) return false;
    return Judge(id, kStateKnown, kState, [&] {
      const PickleNodeId state = ValueOf(tree_, id, "state", kMaxStateEntries);
      const PickleNodeId groups = ValueOf(tree_, id, "param_groups", kMaxStateEntries);
      return state != kNoPickleNode && IsDict(tree_, state) && AreGroups(groups);
    });
  }

  /// A list of dicts that each have `params`, as all optimizers of PyTorch write it.
  bool AreGroups(PickleNodeId id) {
    if (!tree_.Is(id, PickleKind::kList)) return false;
    return Judge(id, kGroupsKnown, kGroups, [&] {
      return AllOf(id, [&](PickleNodeId group) {
        return IsDict(tree_, group) && ValueOf(tree_, group, "params", kMaxStateEntries) != kNoPickleNode;
      });
    });
  }

  const PickleTree& tree_;
  std::vector<uint8_t> verdicts_;  ///< by node
};

class Chooser {
 public:
  Chooser(const PickleTree& tree, const StripRequest& request)
      : tree_(tree), request_(request), finder_(tree), entered_(tree.nodes.size()) {}

  Result<std::vector<ChosenEntry>> Choose() {
    Enter(tree_.root);
    while (!frames_.empty()) {
      Frame& frame = frames_.back();
      const uint32_t item = frame.next_item;
      path_.resize(frame.path_bytes);
      if (item == kNoPickleItem) {
        frames_.pop_back();
        continue;
      }
      frame.next_item = tree_.items[item].next;
      AppendComponent(tree_.items[item], frame.position++);
      FLYWEIGHT_TRY(Judge(item, frame.is_dict));
    }
    return std::move(chosen_);
  }

 private:
  struct Frame {
    uint32_t next_item;
    size_t path_bytes;  ///< of the path to the container
    bool is_dict;
    size_t position = 0;
  };

  void Enter(PickleNodeId id) {
    const bool is_dict = IsDict(tree_, id);
    if ((!is_dict && !IsSequence(tree_, id)) || entered_[id] || frames_.size() >= kMaxDepth) return;
    entered_[id] = true;
    frames_.push_back({tree_.node(id).first_item, path_.size(), is_dict});
  }

  void AppendComponent(const PickleItem& item, size_t position) {
    if (!path_.empty()) path_ += '.';
    if (tree_.Is(item.key, PickleKind::kText) && tree_.Text(item.key).size() <= kMaxKeyBytes) {
      path_ += tree_.Text(item.key);
    } else if (tree_.Is(item.key, PickleKind::kInt)) {
      path_ += std::to_string(tree_.Int(item.key));
    } else {
      path_ += std::to_string(position);
    }
  }

  Status Judge(uint32_t number, bool in_dict) {
    const PickleItem& item = tree_.items[number];
    if (item.key == kPickleStateKey) return Status::Ok();
    const bool is_entry = in_dict && item.key != kNoPickleNode;
    const bool holds_values = IsDict(tree_, item.value) || IsSequence(tree_, item.value);
    const bool is_optimizer = is_entry && request_.optimizer && finder_.HoldsState(item.value);
    const bool is_tensor = IsTensor(tree_, item.value);
    const bool is_named = (is_tensor || (holds_values && is_entry)) && request_.Matches(path_);
    if (is_named && !is_entry) return CannotStrip("'" + path_ + "' stands in a list, where nothing can be taken out");
    if (is_optimizer || is_named) {
      chosen_.push_back({number, path_});
    } else {
      Enter(item.value);
    }
    return Status::Ok();
  }

  const PickleTree& tree_;
  const StripRequest& request_;
  OptimizerFinder finder_;
  std::vector<bool> entered_;
  std::vector<Frame> frames_;
  std::string path_;
  std::vector<ChosenEntry> chosen_;
};

}  // namespace

Result<std::vector<ChosenEntry>> ChoosePickleEntries(const PickleTree& tree, const StripRequest& request) {
  return Chooser(tree, request).Choose();
}

}  // namespace flyweight
