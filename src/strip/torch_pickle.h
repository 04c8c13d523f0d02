#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "container/pickle_scan.h"
#include "strip/strip.h"

namespace flyweight {

/// The pickle of an object that torch.save wrote, without what was to go.
struct StrippedPickle {
  std::vector<std::byte> bytes;
  std::unordered_set<std::string> unused_keys;  ///< of storages that nothing refers to any more
  std::vector<RemovedTensor> removed;
};

/// Nothing where nothing is to go. Errors: kUnsupportedFeature, with the reason.
Result<std::optional<StrippedPickle>> StripTorchPickle(const PickleTree& tree, const StripRequest& request);

}  // namespace flyweight
