#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "delta/model.h"

namespace flyweight {

/// A model in a file of any container, or in several.
class FilesModel final : public Model {
 public:
  /// `paths` and how they are called in messages and names. Errors: those of opening and reading.
  static Result<std::shared_ptr<Model>> Open(std::vector<std::pair<std::string, std::string>> paths, std::string name);

  Status Read(size_t part, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const override;
  Status CheckUnchanged() const override;

 protected:
  Result<std::vector<Digest>> FileDigests() override;

 private:
  struct File {
    std::string path;
    FileStamp stamp;
  };
  struct Place {
    size_t file = 0;
    uint64_t offset = 0;
  };

  Status AddFile(const std::string& path, const std::string& name);
  Result<std::shared_ptr<FileSource>> OpenFile(size_t file) const;

  /// Models of hundreds of shards must not use up the process's descriptors.
  static constexpr size_t kOpenMaxCount = 32;
  std::vector<File> files_;
  std::vector<Place> places_;  ///< one a part
  mutable std::mutex mutex_;
  mutable std::deque<std::pair<size_t, std::shared_ptr<FileSource>>> open_;
};

}  // namespace flyweight
