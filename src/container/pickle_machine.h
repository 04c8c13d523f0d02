#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "container/pickle_opcodes.h"
#include "container/pickle_scan.h"

namespace flyweight {

/// The stack machine of pickles with values in the place of objects. It knows what each opcode does to the stack and
/// the memo, and does nothing else.
class PickleMachine {
 public:
  /// Precondition: at most kPickleMaxBytes.
  explicit PickleMachine(ByteSpan bytes);

  /// Takes one opcode; true at STOP. Errors as ScanPickle.
  Result<bool> Step();
  /// Precondition: Step gave true.
  PickleTree Release() { return std::move(tree_); }

 private:
  struct Slot {
    PickleNodeId node;
    uint32_t begin;  ///< where the opcodes start that made it
  };
  struct Mark {
    size_t stack_height;
    uint32_t begin;
  };
  enum class Effect { kDone, kMisfit, kOverLimit };

  Effect Apply(const PickleOp& op);
  Effect ApplyText(const PickleOp& op);
  Effect ApplyContainer(const PickleOp& op);
  Effect ApplyObject(const PickleOp& op);
  Effect ApplyMemo(const PickleOp& op);

  Effect Push(PickleNodeId node, uint32_t begin);
  Effect PushNew(PickleNode node) { return Push(NewNode(node), begin_); }
  Effect PushShared(PickleNodeId& shared, PickleNode node);
  Effect PushInt(int64_t value);
  Effect PushDecimal(std::string_view line);
  Effect PushLong(std::string_view little_endian);
  Effect PushText(PickleKind kind, std::string_view text);
  Effect PushLine(std::string_view line);
  Effect PushCall(size_t operand_count);
  Effect PushPersistent();
  Effect PushSequence(PickleKind kind, size_t first_slot, uint32_t begin);
  Effect PushMarked(PickleKind kind);
  Effect PushMarkedObject(bool class_is_marked, const PickleOp& op);

  PickleNodeId NewNode(PickleNode node);
  PickleNodeId NewText(PickleKind kind, std::string_view text);
  PickleNodeId NewGlobal(std::string_view module, std::string_view name);
  bool AddItem(PickleNodeId target, PickleNodeId key, size_t key_slot, size_t value_slot);
  Effect AddSequence(PickleNodeId target, size_t first_slot);
  Effect AddPairs(PickleNodeId target, size_t first_slot);
  Effect FillFrom(size_t first_slot, bool pairs);
  Effect FillMarked(bool pairs);
  Effect Build();
  Effect Put(int64_t number);
  Effect Get(int64_t number);
  Effect Pop();

  /// Slots of the innermost frame: those above the last mark.
  size_t FrameHeight() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back().stack_height); }
  bool HasOperands(size_t count) const { return FrameHeight() >= count; }
  bool PopMark(Mark& mark);
  uint32_t SlotEnd(size_t slot) const { return slot + 1 < stack_.size() ? stack_[slot + 1].begin : begin_; }

  ReadCursor cursor_;
  ByteSpan bytes_;
  uint32_t begin_ = 0;  ///< of the opcode at hand
  PickleTree tree_;
  std::vector<Slot> stack_;
  std::vector<Mark> marks_;
  std::vector<PickleNodeId> memo_;
  uint32_t memo_count_ = 0;                         ///< the next number of MEMOIZE
  std::array<PickleNodeId, 256> small_integers_{};  ///< nodes of 0 to 255, once they were met
  PickleNodeId none_ = kNoPickleNode;
  PickleNodeId empty_tuple_ = kNoPickleNode;
};

}  // namespace flyweight
