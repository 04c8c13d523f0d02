#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "flyweight/diff.h"
#include "pipeline/model_side.h"

namespace flyweight {

/// An extent of a model.
struct ExtentId {
  size_t file = 0;
  size_t extent = 0;
};

/// A tensor of A beside one of B; of added and removed ones only one of them.
struct TensorPair {
  std::optional<ExtentId> base;
  std::optional<ExtentId> variant;
  bool is_renamed = false;  ///< the contents have one hash
};

/// Files of two models that stand for each other, or one that the other model lacks.
struct FilePair {
  std::optional<size_t> base;
  std::optional<size_t> variant;
  bool is_rest = false;  ///< both hold tensors: what is not tensors is compared
};

/// Matches the tensors of two models as DiffModels says: those of B in order, then those that only A has. `patterns`
/// as DiffOptions::tensors. Reads the tensors that have no counterpart by name but one by dtype and shape. Errors:
/// those of reading.
Result<std::vector<TensorPair>> MatchTensors(ModelSide& base, ModelSide& variant,
                                             const std::vector<std::string>& patterns, ThreadPool& pool);

/// Matches the files of two models that have to be compared beside their tensors.
std::vector<FilePair> MatchFiles(const ArchiveIndex& base, const ArchiveIndex& variant);

}  // namespace flyweight
