#pragma once

#include <optional>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/hash.h"

namespace flyweight {

/// The identity of a model (docs/format.md section 1.6): what its tensors are, whatever container or shards hold them.
class IdentityBuilder {
 public:
  void AddTensor(const std::string& name, DType dtype, const Shape& shape, const Digest& digest);
  /// A file of the model, whose SHA-256 counts where there are no tensors at all.
  void AddFile(const Digest& sha256);
  /// Call once.
  Digest Finish();

 private:
  struct Tensor {
    std::string name;
    std::vector<std::byte> rest;
  };
  std::vector<Tensor> tensors_;
  std::vector<Digest> files_;
};

/// The identity of what an archive holds, from its index alone; nothing where it lacks digests or, without tensors, the
/// SHA-256 of a file.
std::optional<Digest> IdentityOf(const ArchiveIndex& index);

}  // namespace flyweight
