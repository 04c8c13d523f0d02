#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "flyweight/pipeline.h"

namespace flyweight {

/// A model that is only read: a file of any format, a directory, or an archive of either. Described by an index whose
/// places mean nothing to the caller. Reading is thread-safe with a worker number a thread.
class ModelSide {
 public:
  virtual ~ModelSide() = default;
  virtual const ArchiveIndex& index() const = 0;
  /// Bytes [begin, begin + target.size()) of an extent. Errors: those of reading and decoding.
  virtual Status Read(size_t file, size_t extent, uint64_t begin, MutableByteSpan target, size_t worker) = 0;
  /// Errors: kSourceChanged.
  virtual Status CheckUnchanged() const = 0;
};

/// Opens what `path` names, for `worker_count` readers. A patch is taken for one on `other`, the model that it is
/// compared with. Errors: those of reading files and archives; kBaseMismatch where that is not so.
Result<std::unique_ptr<ModelSide>> OpenModelSide(const std::string& path, const std::string& other, size_t worker_count,
                                                 const NoticeCallback& notice);

}  // namespace flyweight
