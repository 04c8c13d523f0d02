#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "flyweight/result.h"

namespace flyweight {

/// A longer pickle is not scanned, so that memory stays bounded. What PyTorch writes takes some 200 bytes a tensor.
inline constexpr uint64_t kPickleMaxBytes = uint64_t{32} << 20;
/// Values and items that one scan keeps; 12 values are a tensor.
inline constexpr size_t kPickleMaxNodes = size_t{1} << 21;
inline constexpr size_t kPickleMaxItems = size_t{1} << 21;
inline constexpr size_t kPickleMaxStack = size_t{1} << 20;
/// Numbers in the memo are below this.
inline constexpr uint32_t kPickleMaxMemo = uint32_t{1} << 21;
inline constexpr size_t kPickleMaxMemoUses = size_t{1} << 22;

using PickleNodeId = uint32_t;
inline constexpr PickleNodeId kNoPickleNode = UINT32_MAX;
/// The key of the item that BUILD gives an object: its state.
inline constexpr PickleNodeId kPickleStateKey = UINT32_MAX - 1;
inline constexpr uint32_t kNoPickleItem = UINT32_MAX;

enum class PickleKind : uint8_t {
  kUnknown,  ///< floats, buffers from outside, extensions: nothing that a model's structure needs
  kNone,
  kBool,
  kInt,  ///< fits in 64 bits
  kText,
  kBytes,   ///< bytes, and integers of more than 64 bits as they are stored
  kGlobal,  ///< a name such as torch.FloatStorage: never looked up
  kTuple,
  kList,  ///< lists and sets
  kDict,
  kObject,      ///< the call of something with arguments: never made
  kPersistent,  ///< an object kept outside of the pickle, by the value that identifies it
};

/// A value. Immutable ones without content may be shared: where a value stands is told by the item that holds it.
struct PickleNode {
  PickleKind kind = PickleKind::kUnknown;
  /// kText and kBytes: offset and length in the pickle. kInt and kBool: low and high half. kGlobal: nodes of module and
  /// name. kObject: nodes of callable and arguments. kPersistent: the node that identifies it.
  uint32_t a = 0;
  uint32_t b = 0;
  uint32_t first_item = kNoPickleItem;  ///< kTuple, kList, kDict, kObject
  uint32_t last_item = kNoPickleItem;
};

/// A member of a tuple, list, dict or object, with the opcodes that push it: the key has [key_begin, value_begin), the
/// value [value_begin, end), everything that fills a container included. An entry is taken out of a pickle by dropping
/// [key_begin, end), and a SETITEM or APPEND that follows at `end`; MEMO puts inside must be looked after.
struct PickleItem {
  PickleNodeId key = kNoPickleNode;  ///< kNoPickleNode in sequences
  PickleNodeId value = kNoPickleNode;
  uint32_t key_begin = 0;  ///< value_begin where there is no key
  uint32_t value_begin = 0;
  uint32_t end = 0;
  uint32_t next = kNoPickleItem;
};

/// A PUT or a GET of the memo, where it stands and which number it has. MEMOIZE is a put.
struct PickleMemoUse {
  uint32_t offset = 0;
  uint32_t number = 0;
  PickleNodeId node = kNoPickleNode;  ///< the value
  uint32_t value_begin = 0;           ///< of a PUT: where the opcodes start that made the value
};

/// What a pickle would build, as values; all offsets count from its first byte. The graph may have cycles and shared
/// parts, so a walk over it must mark what it has seen.
struct PickleTree {
  ByteSpan pickle;  ///< from PROTO to STOP
  std::vector<PickleNode> nodes;
  std::vector<PickleItem> items;
  std::vector<PickleMemoUse> puts;
  std::vector<PickleMemoUse> gets;
  PickleNodeId root = kNoPickleNode;

  const PickleNode& node(PickleNodeId id) const { return nodes[id]; }
  bool Is(PickleNodeId id, PickleKind kind) const { return id < nodes.size() && nodes[id].kind == kind; }
  /// The characters of kText or kBytes, else nothing; they live as long as the pickle.
  std::string_view Text(PickleNodeId id) const;
  /// Precondition: kInt or kBool.
  int64_t Int(PickleNodeId id) const;
  /// Whether this is the global `module`.`name`.
  bool IsGlobal(PickleNodeId id, std::string_view module, std::string_view name) const;
  /// The values of the first `limit` items.
  std::vector<PickleNodeId> Values(PickleNodeId id, size_t limit) const;
};

/// Follows the opcodes of the pickle at the start of `bytes` up to its STOP. NOTHING IS EXECUTED, imported or looked
/// up: a call is recorded as a value of kind kObject. Memory is bounded by the limits above, there is no recursion.
/// Errors: kTruncated where the bytes end before STOP, kCorrupt where an opcode is unknown or does not fit the stack,
/// kLimitExceeded.
Result<PickleTree> ScanPickle(ByteSpan bytes);

}  // namespace flyweight
