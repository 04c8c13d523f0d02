#include "container/pickle_scan.h"

#include <algorithm>

#include "container/pickle_machine.h"

namespace flyweight {

std::string_view PickleTree::Text(PickleNodeId id) const {
  if (!Is(id, PickleKind::kText) && !Is(id, PickleKind::kBytes)) return {};
  return AsText(pickle.subspan(nodes[id].a, nodes[id].b));
}

int64_t PickleTree::Int(PickleNodeId id) const {
  return static_cast<int64_t>(uint64_t{nodes[id].b} << 32 | nodes[id].a);
}

bool PickleTree::IsGlobal(PickleNodeId id, std::string_view module, std::string_view name) const {
  return Is(id, PickleKind::kGlobal) && Text(nodes[id].a) == module && Text(nodes[id].b) == name;
}

std::vector<PickleNodeId> PickleTree::Values(PickleNodeId id, size_t limit) const {
  std::vector<PickleNodeId> values;
  if (id >= nodes.size()) return values;
  for (uint32_t item = nodes[id].first_item; item != kNoPickleItem && values.size() < limit; item = items[item].next)
    values.push_back(items[item].value);
  return values;
}

Result<PickleTree> ScanPickle(ByteSpan bytes) {
  ByteSpan window = bytes.first(static_cast<size_t>(std::min<uint64_t>(bytes.size(), kPickleMaxBytes)));
  PickleMachine machine(window);
  while (true) {
    Result<bool> stopped = machine.Step();
    if (stopped.ok() && stopped.value()) return machine.Release();
    if (stopped.ok()) continue;
    if (stopped.error().code == ErrorCode::kTruncated && window.size() < bytes.size())
      return Error{ErrorCode::kLimitExceeded, window.size(), "the pickle is too long to be scanned"};
    return stopped.take_error();
  }
}

}  // namespace flyweight
