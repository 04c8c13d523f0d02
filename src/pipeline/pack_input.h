#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/thread_pool.h"
#include "flyweight/pipeline.h"
#include "pipeline/content.h"
#include "pipeline/endpoint.h"
#include "pipeline/stripper.h"

namespace flyweight {

/// Everything that goes into one archive: a file, or a tree of files.
class PackInput {
 public:
  virtual ~PackInput() = default;

  /// The index of the archive, annotated, without places, digests and SHA-256. Call once. Errors: those of reading.
  virtual Result<ArchiveIndex> Describe(ThreadPool& pool) = 0;
  virtual const ContentSet& contents() const = 0;
  virtual uint64_t source_bytes() const = 0;
  /// Permission bits and modification time that the archive gets.
  virtual uint32_t mode() const = 0;
  virtual int64_t modified_ns() const = 0;
  /// Errors: kSourceChanged.
  virtual Status CheckUnchanged() const = 0;
  /// Deletes what went into the archive, where it is still what was read. What is left is told to `notice`. Errors:
  /// kIo, kSourceChanged.
  virtual Status RemoveSource(const NoticeCallback& notice) = 0;
};

/// Opens what `sources` name: one file or standard input, or a tree. `target`, where the archive will stand, is left
/// out of a tree. Errors: kIo, kInvalidArgument.
/// `stripper` takes tensors out of the files before they are described.
Result<std::unique_ptr<PackInput>> OpenPackInput(const std::vector<std::string>& sources, const std::string& target,
                                                 const Stripper& stripper, const NoticeCallback& notice);

/// The same for a directory or several inputs.
Result<std::unique_ptr<PackInput>> OpenTreeInput(const std::vector<std::string>& sources, const std::string& target,
                                                 const Stripper& stripper, const NoticeCallback& notice);

/// True where a path names a directory, links followed.
bool IsDirectory(const std::string& path);

}  // namespace flyweight
