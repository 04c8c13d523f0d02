#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/file.h"
#include "strip/edit_list.h"

namespace flyweight {

/// Removes tensors from files before they are archived (CompressOptions::strip). Immutable, so safe to share between
/// threads.
class Stripper {
 public:
  /// Patterns as CompressOptions has them.
  explicit Stripper(std::vector<std::string> patterns = {}) : patterns_(std::move(patterns)) {}

  bool enabled() const { return !patterns_.empty(); }

  /// What is archived in the place of a file.
  struct Stripped {
    std::shared_ptr<const EditList> edits;
    std::vector<IndexAttribute> attributes;  ///< "original" and "stripped"
  };
  /// Plans the removal and hashes the original. `name` is what patterns of the form FILE:TENSOR match. Nothing where
  /// there is nothing to remove. Errors: those of PlanStrip, with the name.
  Result<std::optional<Stripped>> Apply(const ByteSource& source, const std::string& name) const;

 private:
  std::vector<std::string> patterns_;
};

}  // namespace flyweight
