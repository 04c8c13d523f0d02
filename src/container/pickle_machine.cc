#include "container/pickle_machine.h"

#include <charconv>
#include <optional>

namespace flyweight {
namespace {

/// A decimal number that fills the whole line; protocol 0 ends long ones with an L.
std::optional<int64_t> ParseDecimal(std::string_view line) {
  if (!line.empty() && line.back() == 'L') line.remove_suffix(1);
  int64_t value = 0;
  const char* end = line.data() + line.size();
  auto [stopped, error] = std::from_chars(line.data(), end, value);
  if (error != std::errc() || stopped != end || line.empty()) return std::nullopt;
  return value;
}

bool HoldsItems(PickleKind kind) {
  return kind == PickleKind::kList || kind == PickleKind::kDict || kind == PickleKind::kObject;
}

}  // namespace

PickleMachine::PickleMachine(ByteSpan bytes) : cursor_(bytes), bytes_(bytes) {
  small_integers_.fill(kNoPickleNode);
  tree_.pickle = bytes;
}

Result<bool> PickleMachine::Step() {
  begin_ = static_cast<uint32_t>(cursor_.position());
  FLYWEIGHT_ASSIGN(PickleOp op, ReadPickleOp(cursor_));
  if (op.code == PickleCode::kStop) {
    if (stack_.size() != 1 || !marks_.empty())
      return Error{ErrorCode::kCorrupt, begin_, "a pickle that ends too early"};
    tree_.root = stack_.front().node;
    tree_.pickle = bytes_.first(cursor_.position());
    return true;
  }
  switch (Apply(op)) {
    case Effect::kDone:
      return false;
    case Effect::kMisfit:
      return Error{ErrorCode::kCorrupt, begin_, "an opcode of a pickle does not fit its stack"};
    case Effect::kOverLimit:
      break;
  }
  return Error{ErrorCode::kLimitExceeded, begin_, "a pickle with too many values"};
}

PickleMachine::Effect PickleMachine::Apply(const PickleOp& op) {
  using enum PickleCode;
  switch (op.code) {
    case kProto:
    case kFrame:
    case kReadOnlyBuffer:
    case kStop:
      return Effect::kDone;
    case kNone:
      return PushShared(none_, {.kind = PickleKind::kNone});
    case kNewTrue:
      return PushNew({.kind = PickleKind::kBool, .a = 1});
    case kNewFalse:
      return PushNew({.kind = PickleKind::kBool});
    case kInt:
      if (op.text == "00" || op.text == "01")
        return PushNew({.kind = PickleKind::kBool, .a = op.text == "01" ? uint32_t{1} : uint32_t{0}});
      return PushDecimal(op.text);
    case kLong:
      return PushDecimal(op.text);
    case kBinInt:
    case kBinInt1:
    case kBinInt2:
      return PushInt(op.number);
    case kLong1:
    case kLong4:
      return PushLong(op.text);
    case kFloat:
    case kBinFloat:
    case kExt1:
    case kExt2:
    case kExt4:
    case kNextBuffer:
      return PushNew({});
    default:
      return ApplyText(op);
  }
}

PickleMachine::Effect PickleMachine::ApplyText(const PickleOp& op) {
  using enum PickleCode;
  switch (op.code) {
    case kString:
      if (op.text.size() < 2 || op.text.front() != op.text.back()) return Effect::kMisfit;
      return PushLine(op.text.substr(1, op.text.size() - 2));
    case kUnicode:
      return PushLine(op.text);
    case kBinString:
    case kShortBinString:
    case kBinUnicode:
    case kShortBinUnicode:
    case kBinUnicode8:
      return PushText(PickleKind::kText, op.text);
    case kBinBytes:
    case kShortBinBytes:
    case kBinBytes8:
    case kByteArray8:
      return PushText(PickleKind::kBytes, op.text);
    default:
      return ApplyContainer(op);
  }
}

PickleMachine::Effect PickleMachine::ApplyContainer(const PickleOp& op) {
  using enum PickleCode;
  switch (op.code) {
    case kEmptyTuple:
      return PushShared(empty_tuple_, {.kind = PickleKind::kTuple});
    case kEmptyList:
    case kEmptySet:
      return PushNew({.kind = PickleKind::kList});
    case kEmptyDict:
      return PushNew({.kind = PickleKind::kDict});
    case kTuple1:
    case kTuple2:
    case kTuple3: {
      size_t count = static_cast<size_t>(op.code) - static_cast<size_t>(kTuple1) + 1;
      if (!HasOperands(count)) return Effect::kMisfit;
      size_t first_slot = stack_.size() - count;
      return PushSequence(PickleKind::kTuple, first_slot, stack_[first_slot].begin);
    }
    case kTuple:
      return PushMarked(PickleKind::kTuple);
    case kList:
    case kFrozenSet:
      return PushMarked(PickleKind::kList);
    case kDict:
      return PushMarked(PickleKind::kDict);
    case kAppend:
      return HasOperands(2) ? FillFrom(stack_.size() - 1, false) : Effect::kMisfit;
    case kSetItem:
      return HasOperands(3) ? FillFrom(stack_.size() - 2, true) : Effect::kMisfit;
    case kAppends:
    case kAddItems:
      return FillMarked(false);
    case kSetItems:
      return FillMarked(true);
    default:
      return ApplyObject(op);
  }
}

PickleMachine::Effect PickleMachine::ApplyObject(const PickleOp& op) {
  using enum PickleCode;
  switch (op.code) {
    case kGlobal:
      return Push(NewGlobal(op.text, op.second_text), begin_);
    case kStackGlobal: {
      if (!HasOperands(2)) return Effect::kMisfit;
      Slot module = stack_[stack_.size() - 2];
      PickleNodeId name = stack_.back().node;
      stack_.resize(stack_.size() - 2);
      return Push(NewNode({.kind = PickleKind::kGlobal, .a = module.node, .b = name}), module.begin);
    }
    case kReduce:
    case kNewObj:
      return PushCall(2);
    case kNewObjEx:
      return PushCall(3);
    case kInst:
      return PushMarkedObject(false, op);
    case kObj:
      return PushMarkedObject(true, op);
    case kBuild:
      return Build();
    case kPersId: {
      PickleNodeId id = NewText(PickleKind::kText, op.text);
      if (id == kNoPickleNode) return Effect::kOverLimit;
      return PushNew({.kind = PickleKind::kPersistent, .a = id});
    }
    case kBinPersId:
      return PushPersistent();
    default:
      return ApplyMemo(op);
  }
}

PickleMachine::Effect PickleMachine::ApplyMemo(const PickleOp& op) {
  using enum PickleCode;
  switch (op.code) {
    case kMark:
      if (marks_.size() >= kPickleMaxStack) return Effect::kOverLimit;
      marks_.push_back({stack_.size(), begin_});
      return Effect::kDone;
    case kPop:
      return Pop();
    case kPopMark: {
      Mark mark{};
      return PopMark(mark) ? (stack_.resize(mark.stack_height), Effect::kDone) : Effect::kMisfit;
    }
    case kDup:
      return HasOperands(1) ? Push(stack_.back().node, begin_) : Effect::kMisfit;
    case kPut:
    case kGet: {
      std::optional<int64_t> number = ParseDecimal(op.text);
      if (!number.has_value()) return Effect::kMisfit;
      return op.code == kPut ? Put(*number) : Get(*number);
    }
    case kBinPut:
    case kLongBinPut:
      return Put(op.number);
    case kMemoize:
      return Put(memo_count_);
    case kBinGet:
    case kLongBinGet:
      return Get(op.number);
    default:
      return Effect::kMisfit;
  }
}

PickleMachine::Effect PickleMachine::Push(PickleNodeId node, uint32_t begin) {
  if (node == kNoPickleNode || stack_.size() >= kPickleMaxStack) return Effect::kOverLimit;
  stack_.push_back({node, begin});
  return Effect::kDone;
}

PickleMachine::Effect PickleMachine::PushShared(PickleNodeId& shared, PickleNode node) {
  if (shared == kNoPickleNode) shared = NewNode(node);
  return Push(shared, begin_);
}

PickleMachine::Effect PickleMachine::PushInt(int64_t value) {
  uint64_t bits = static_cast<uint64_t>(value);
  PickleNode node{.kind = PickleKind::kInt, .a = static_cast<uint32_t>(bits), .b = static_cast<uint32_t>(bits >> 32)};
  return bits < small_integers_.size() ? PushShared(small_integers_[bits], node) : PushNew(node);
}

PickleMachine::Effect PickleMachine::PushDecimal(std::string_view line) {
  std::optional<int64_t> value = ParseDecimal(line);
  return value.has_value() ? PushInt(*value) : PushText(PickleKind::kBytes, line);
}

PickleMachine::Effect PickleMachine::PushLong(std::string_view little_endian) {
  if (little_endian.size() > sizeof(int64_t)) return PushText(PickleKind::kBytes, little_endian);
  bool negative = !little_endian.empty() && (static_cast<uint8_t>(little_endian.back()) & 0x80) != 0;
  uint64_t bits = negative ? ~uint64_t{0} : 0;
  for (size_t i = little_endian.size(); i-- > 0;) bits = bits << 8 | static_cast<uint8_t>(little_endian[i]);
  return PushInt(static_cast<int64_t>(bits));
}

PickleMachine::Effect PickleMachine::PushText(PickleKind kind, std::string_view text) {
  return Push(NewText(kind, text), begin_);
}

/// Protocol 0 escapes characters; such a text is not needed as it reads, so it is left alone.
PickleMachine::Effect PickleMachine::PushLine(std::string_view line) {
  bool escaped = line.find('\\') != std::string_view::npos;
  return escaped ? PushNew({}) : PushText(PickleKind::kText, line);
}

/// REDUCE, NEWOBJ: callable, arguments. NEWOBJ_EX: callable, arguments, named arguments, which count as state.
PickleMachine::Effect PickleMachine::PushCall(size_t operand_count) {
  if (!HasOperands(operand_count)) return Effect::kMisfit;
  size_t first_slot = stack_.size() - operand_count;
  PickleNodeId node =
      NewNode({.kind = PickleKind::kObject, .a = stack_[first_slot].node, .b = stack_[first_slot + 1].node});
  if (node == kNoPickleNode) return Effect::kOverLimit;
  if (operand_count == 3 && !AddItem(node, kPickleStateKey, first_slot + 2, first_slot + 2)) return Effect::kOverLimit;
  uint32_t begin = stack_[first_slot].begin;
  stack_.resize(first_slot);
  return Push(node, begin);
}

PickleMachine::Effect PickleMachine::PushPersistent() {
  if (!HasOperands(1)) return Effect::kMisfit;
  Slot id = stack_.back();
  stack_.pop_back();
  return Push(NewNode({.kind = PickleKind::kPersistent, .a = id.node}), id.begin);
}

/// Replaces the slots from `first_slot` on by one container of them.
PickleMachine::Effect PickleMachine::PushSequence(PickleKind kind, size_t first_slot, uint32_t begin) {
  PickleNodeId node = NewNode({.kind = kind});
  if (node == kNoPickleNode) return Effect::kOverLimit;
  Effect effect = kind == PickleKind::kDict ? AddPairs(node, first_slot) : AddSequence(node, first_slot);
  if (effect != Effect::kDone) return effect;
  stack_.resize(first_slot);
  return Push(node, begin);
}

PickleMachine::Effect PickleMachine::PushMarked(PickleKind kind) {
  Mark mark{};
  return PopMark(mark) ? PushSequence(kind, mark.stack_height, mark.begin) : Effect::kMisfit;
}

/// INST names its class, OBJ has it as the first value behind the mark; the others are the arguments.
PickleMachine::Effect PickleMachine::PushMarkedObject(bool class_is_marked, const PickleOp& op) {
  Mark mark{};
  if (!PopMark(mark)) return Effect::kMisfit;
  size_t first_argument = mark.stack_height + (class_is_marked ? 1 : 0);
  if (first_argument > stack_.size()) return Effect::kMisfit;
  PickleNodeId callable = class_is_marked ? stack_[mark.stack_height].node : NewGlobal(op.text, op.second_text);
  Effect effect = PushSequence(PickleKind::kTuple, first_argument, mark.begin);
  if (effect != Effect::kDone || callable == kNoPickleNode) return Effect::kOverLimit;
  PickleNodeId arguments = stack_.back().node;
  stack_.resize(mark.stack_height);
  return Push(NewNode({.kind = PickleKind::kObject, .a = callable, .b = arguments}), mark.begin);
}

PickleNodeId PickleMachine::NewNode(PickleNode node) {
  if (tree_.nodes.size() >= kPickleMaxNodes) return kNoPickleNode;
  tree_.nodes.push_back(node);
  return static_cast<PickleNodeId>(tree_.nodes.size() - 1);
}

PickleNodeId PickleMachine::NewText(PickleKind kind, std::string_view text) {
  size_t offset = static_cast<size_t>(text.data() - AsText(bytes_).data());
  return NewNode({.kind = kind, .a = static_cast<uint32_t>(offset), .b = static_cast<uint32_t>(text.size())});
}

PickleNodeId PickleMachine::NewGlobal(std::string_view module, std::string_view name) {
  PickleNodeId module_node = NewText(PickleKind::kText, module);
  PickleNodeId name_node = NewText(PickleKind::kText, name);
  if (name_node == kNoPickleNode) return kNoPickleNode;
  return NewNode({.kind = PickleKind::kGlobal, .a = module_node, .b = name_node});
}

bool PickleMachine::AddItem(PickleNodeId target, PickleNodeId key, size_t key_slot, size_t value_slot) {
  if (tree_.items.size() >= kPickleMaxItems) return false;
  uint32_t number = static_cast<uint32_t>(tree_.items.size());
  tree_.items.push_back({.key = key,
                         .value = stack_[value_slot].node,
                         .key_begin = stack_[key_slot].begin,
                         .value_begin = stack_[value_slot].begin,
                         .end = SlotEnd(value_slot)});
  PickleNode& node = tree_.nodes[target];
  (node.last_item == kNoPickleItem ? node.first_item : tree_.items[node.last_item].next) = number;
  node.last_item = number;
  return true;
}

PickleMachine::Effect PickleMachine::AddSequence(PickleNodeId target, size_t first_slot) {
  for (size_t slot = first_slot; slot < stack_.size(); slot++) {
    if (!AddItem(target, kNoPickleNode, slot, slot)) return Effect::kOverLimit;
  }
  return Effect::kDone;
}

PickleMachine::Effect PickleMachine::AddPairs(PickleNodeId target, size_t first_slot) {
  if ((stack_.size() - first_slot) % 2 != 0) return Effect::kMisfit;
  for (size_t slot = first_slot; slot < stack_.size(); slot += 2) {
    if (!AddItem(target, stack_[slot].node, slot, slot + 1)) return Effect::kOverLimit;
  }
  return Effect::kDone;
}

/// Moves the slots from `first_slot` on into the container below them. Precondition: there is one.
PickleMachine::Effect PickleMachine::FillFrom(size_t first_slot, bool pairs) {
  PickleNodeId target = stack_[first_slot - 1].node;
  Effect effect = Effect::kDone;
  if (HoldsItems(tree_.nodes[target].kind)) {
    effect = pairs ? AddPairs(target, first_slot) : AddSequence(target, first_slot);
  } else if (tree_.nodes[target].kind != PickleKind::kUnknown) {
    effect = Effect::kMisfit;
  }
  stack_.resize(first_slot);
  return effect;
}

PickleMachine::Effect PickleMachine::FillMarked(bool pairs) {
  Mark mark{};
  if (!PopMark(mark)) return Effect::kMisfit;
  bool has_target = mark.stack_height > (marks_.empty() ? 0 : marks_.back().stack_height);
  return has_target ? FillFrom(mark.stack_height, pairs) : Effect::kMisfit;
}

PickleMachine::Effect PickleMachine::Build() {
  if (!HasOperands(2)) return Effect::kMisfit;
  size_t state_slot = stack_.size() - 1;
  PickleNodeId target = stack_[state_slot - 1].node;
  if (HoldsItems(tree_.nodes[target].kind) && !AddItem(target, kPickleStateKey, state_slot, state_slot))
    return Effect::kOverLimit;
  stack_.pop_back();
  return Effect::kDone;
}

PickleMachine::Effect PickleMachine::Put(int64_t number) {
  if (!HasOperands(1) || number < 0) return Effect::kMisfit;
  if (number >= int64_t{kPickleMaxMemo} || tree_.puts.size() >= kPickleMaxMemoUses) return Effect::kOverLimit;
  size_t place = static_cast<size_t>(number);
  if (place >= memo_.size()) memo_.resize(place + 1, kNoPickleNode);
  if (memo_[place] == kNoPickleNode) memo_count_++;
  memo_[place] = stack_.back().node;
  tree_.puts.push_back({begin_, static_cast<uint32_t>(number), stack_.back().node, stack_.back().begin});
  return Effect::kDone;
}

PickleMachine::Effect PickleMachine::Get(int64_t number) {
  if (number < 0 || static_cast<uint64_t>(number) >= memo_.size()) return Effect::kMisfit;
  if (tree_.gets.size() >= kPickleMaxMemoUses) return Effect::kOverLimit;
  PickleNodeId node = memo_[static_cast<size_t>(number)];
  if (node == kNoPickleNode) return Effect::kMisfit;
  tree_.gets.push_back({begin_, static_cast<uint32_t>(number), node, begin_});
  return Push(node, begin_);
}

PickleMachine::Effect PickleMachine::Pop() {
  if (HasOperands(1)) {
    stack_.pop_back();
    return Effect::kDone;
  }
  Mark mark{};
  return PopMark(mark) ? Effect::kDone : Effect::kMisfit;
}

bool PickleMachine::PopMark(Mark& mark) {
  if (marks_.empty()) return false;
  mark = marks_.back();
  marks_.pop_back();
  return true;
}

}  // namespace flyweight
