#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "delta/bind.h"
#include "delta/model.h"

namespace flyweight {

/// Opens a base and the patches on it, the first made first, as the model that the last of them gives. Nothing is
/// decoded but samples. Errors: kInvalidArgument (no path, a path behind the first that is no patch); kBaseMismatch,
/// which says what does not fit and, where the order is wrong, which one does; those of OpenModel.
Result<std::shared_ptr<Model>> OpenLineage(const std::vector<std::string>& paths, ThreadPool& pool);

/// The model that the patch at `path` gives on `model`. Errors: as OpenLineage.
Result<std::shared_ptr<Model>> AddLink(std::shared_ptr<Model> model, const std::string& path, ThreadPool& pool);

/// Gives a patch its base. `name` is what the patch is called in messages. Errors: kBaseMismatch, which says why
/// `model` is not the base: it lacks tensors, has other shapes or other weights, or the patch was applied to it
/// already; those of reading. Precondition: the archive has a base table.
Result<std::shared_ptr<BoundBase>> BindLink(const ArchiveReader& patch, const std::string& name,
                                            std::shared_ptr<Model> model, RowCheck check, ThreadPool& pool);

/// What the headers of a base and patches say about their order.
struct LinkHead {
  std::string path;
  bool is_patch = false;
  Digest base{};    ///< identities, of patches
  Digest result{};  ///< of archives
};

/// The order in which the links fit behind each other, where there is exactly one way and it is not the one given; else
/// nothing.
std::vector<std::string> FindOrder(const std::vector<LinkHead>& links);

/// A sentence about the order in which a base and patches fit, where it is not the one given; else empty.
std::string OrderHint(const std::vector<std::string>& paths);

}  // namespace flyweight
