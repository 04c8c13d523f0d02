#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"
#include "strip/edit_list.h"

namespace flyweight {

/// What is to be removed from model files.
struct StripRequest {
  bool optimizer = false;                              ///< the state of optimizers, found by its form
  std::function<bool(std::string_view name)> matches;  ///< of tensors by name; may be empty

  bool Matches(std::string_view name) const { return matches && matches(name); }
};

/// A tensor that went, or an entry of a pickle without bytes of its own (`size_bytes` 0).
struct RemovedTensor {
  std::string name;
  uint64_t size_bytes = 0;
};

/// How a file becomes a smaller one of the same format, without the tensors that were to go.
struct StripPlan {
  EditList edits;
  std::vector<RemovedTensor> removed;  ///< at least one
};

/// Plans the removal; reads headers only and changes nothing. What is left is a valid file of the same format: headers
/// and directories are rewritten, bytes of the tensors that stay are ranges of `source`.
///
/// State of optimizers is found by structure, never by a word in a name:
/// - in pickles of PyTorch (zip or legacy) a dict entry whose value is a dict of `state` (a dict) and `param_groups` (a
///   list of dicts with `params`), or a list of such dicts;
/// - in flat files (safetensors, npz, GGUF) a tensor whose last name is one that optimizers use, such as exp_avg, and
///   that belongs to a parameter that is also there or stands below a prefix such as `optimizer.`.
///
/// By name: tensors of flat files, members of zip files, and in pickles entries of dicts that hold a tensor or more,
/// by the path to them, keys joined by dots.
///
/// Gives nothing where nothing is to be removed, or the format is none that things can be removed from. Errors:
/// kUnsupportedFeature where something is to go but the file cannot be rewritten with certainty (the message names the
/// reason); those of reading.
Result<std::optional<StripPlan>> PlanStrip(const ByteSource& source, const StripRequest& request);

}  // namespace flyweight
