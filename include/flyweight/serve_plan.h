#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flyweight/pipeline.h"
#include "flyweight/result.h"

// How much memory a base and variants of it take when what they share is there once.

namespace flyweight {

/// One model of a plan.
struct ServedModel {
  std::string path;
  uint64_t tensor_count = 0;
  uint64_t tensor_bytes = 0;  ///< of all its tensors
  uint64_t shared_count = 0;  ///< tensors that a model before it in the plan has as well
  uint64_t own_bytes = 0;     ///< of the others
};

struct ServePlan {
  std::vector<ServedModel> models;  ///< the base first
  uint64_t naive_bytes = 0;         ///< of all tensors of all models
  uint64_t held_bytes = 0;          ///< of what was decoded, each once
  uint64_t resident_bytes = 0;      ///< by how much the memory of the process grew; 0 where the system does not say
};

struct ServePlanOptions {
  size_t thread_count = 0;
};

/// Decodes the tensors of a base and of patches on it into memory, each that is shared once, and says what that took.
/// `base` is a file of any container, a directory or an archive, each of `patches` a patch on it. What was decoded is
/// given back before it returns. Errors: those of reading; kBaseMismatch; kOutOfMemory.
Result<ServePlan> PlanServing(const std::string& base, const std::vector<std::string>& patches,
                              const ServePlanOptions& options);

}  // namespace flyweight
