#pragma once

#include <optional>
#include <string>
#include <vector>

#include "container/pickle_scan.h"

namespace flyweight {

/// A walk through the values of a pickle, depth first, that enters each container and each object once. It gives the
/// values where a storage may be, and the path to them.
class TorchWalk {
 public:
  explicit TorchWalk(const PickleTree& tree);

  /// The next object (each once) or persistent value (wherever one stands); kNoPickleNode at the end.
  PickleNodeId Next();
  /// What is inside the object that Next gave last is passed over.
  void PassOver() { given_ = kNoPickleNode; }
  /// The path to the value that Next gave last, joined by dots. Nothing where it is longer than `max_bytes`.
  std::optional<std::string> Path(size_t max_bytes) const;

 private:
  /// What the members of a container are called in a path.
  enum class Naming : uint8_t {
    kMembers,        ///< key or position
    kArguments,      ///< of a call: the first has no name, the others their position
    kDictArguments,  ///< of a call that makes a dict: the first is a list of pairs
    kPairs,          ///< pairs of key and value: the key
    kState,          ///< of an object: keys, without the standard dicts of modules
    kNothing,
  };
  struct Frame {
    PickleNodeId node;
    Naming naming;
    uint32_t next_item;
    uint32_t current_item;    ///< the member the walk is in; kNoPickleItem before the first
    uint32_t item_count = 0;  ///< members met so far
  };

  void Enter(PickleNodeId node, Naming naming);
  void EnterObject(PickleNodeId node);
  PickleNodeId NextMember();
  Naming NamingInside(const Frame& frame) const;
  std::string Component(const Frame& frame) const;
  std::string KeyText(PickleNodeId key, uint32_t position) const;

  const PickleTree& tree_;
  std::vector<Frame> frames_;
  std::vector<bool> entered_;
  PickleNodeId given_ = kNoPickleNode;  ///< an object that Next gave and that was not entered yet
  bool at_root_ = true;
};

}  // namespace flyweight
