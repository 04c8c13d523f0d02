#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "container/annotate.h"
#include "strip/strip.h"

// What the tests of this room share.

namespace flyweight {

inline StripRequest ForOptimizer() { return {.optimizer = true, .matches = {}}; }

/// Names that start so.
inline StripRequest ForPrefix(const std::string& prefix) {
  return {.optimizer = false, .matches = [prefix](std::string_view name) { return name.starts_with(prefix); }};
}

/// What stripping did: "" and a file, "nothing", or "refused".
struct StripOutcome {
  std::string failure;
  std::string file;
  std::map<std::string, uint64_t> removed;
};

inline StripOutcome Strip(const std::string& file, const StripRequest& request) {
  MemorySource source(AsBytes(file));
  Result<std::optional<StripPlan>> plan = PlanStrip(source, request);
  if (!plan.ok()) return {plan.error().code == ErrorCode::kUnsupportedFeature ? "refused" : "error", {}, {}};
  if (!plan.value().has_value()) return {"nothing", {}, {}};
  StripOutcome outcome;
  for (const RemovedTensor& tensor : plan.value()->removed) outcome.removed[tensor.name] = tensor.size_bytes;
  outcome.file.resize(static_cast<size_t>(plan.value()->edits.size()));
  EditedSource edited(source, std::make_shared<const EditList>(std::move(plan.value()->edits)));
  EXPECT_TRUE(edited.ReadAt(0, std::as_writable_bytes(std::span(outcome.file))).ok());
  return outcome;
}

/// Tensors of a file by name: dtype, shape and bytes as text.
inline std::map<std::string, std::string> TensorsOf(const std::string& file) {
  MemorySource source(AsBytes(file));
  Result<FileMap> map = Annotate(source);
  std::map<std::string, std::string> tensors;
  if (!map.ok()) return tensors;
  for (const Extent& extent : map.value().extents) {
    if (!extent.is_tensor) continue;
    std::string text(Describe(extent.dtype).name);
    for (uint64_t dimension : extent.shape) text += " " + std::to_string(dimension);
    text += ": " + file.substr(static_cast<size_t>(extent.offset), static_cast<size_t>(extent.size_bytes));
    tensors[extent.name] = text;
  }
  return tensors;
}

/// The tensors without those of the names.
inline std::map<std::string, std::string> Without(std::map<std::string, std::string> tensors,
                                                  const std::set<std::string>& names) {
  for (const std::string& name : names) EXPECT_EQ(tensors.erase(name), 1U) << name;
  return tensors;
}

/// What a file is that may be malformed: refused, left alone, or stripped, and then all that stays is what was there.
/// Tells whether it was stripped.
inline bool ExpectKeptTensorsStay(const std::string& file, const StripRequest& request) {
  const StripOutcome outcome = Strip(file, request);
  if (!outcome.failure.empty()) {
    EXPECT_TRUE(outcome.failure == "nothing" || outcome.failure == "refused") << outcome.failure;
    return false;
  }
  const auto before = TensorsOf(file);
  const auto after = TensorsOf(outcome.file);
  for (const auto& [name, content] : after) {
    auto found = before.find(name);
    EXPECT_TRUE(found != before.end() && found->second == content) << name << " is another";
  }
  for (const auto& [name, content] : before) {
    EXPECT_TRUE(outcome.removed.contains(name) || after.contains(name)) << name << " is lost";
  }
  return true;
}

}  // namespace flyweight
