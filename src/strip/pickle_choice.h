#pragma once

#include <string>
#include <vector>

#include "container/pickle_scan.h"
#include "strip/strip.h"

namespace flyweight {

/// An entry of a dict that is to go.
struct ChosenEntry {
  uint32_t item = kNoPickleItem;
  std::string path;  ///< keys joined by dots
};

/// Finds the entries of dicts that are to go (PlanStrip says which), none inside another. Dicts, OrderedDicts, lists
/// and tuples are walked, each once and to a depth of 500; objects are not entered. Errors: kUnsupportedFeature where a
/// name matches a tensor that is no entry of a dict.
Result<std::vector<ChosenEntry>> ChoosePickleEntries(const PickleTree& tree, const StripRequest& request);

}  // namespace flyweight
