#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "archive/range_reader.h"
#include "delta/model.h"

namespace flyweight {

/// A model in an archive; a patch too, where its reader has its base.
class ArchiveModel final : public Model {
 public:
  ArchiveModel(std::shared_ptr<const ByteSource> source, ArchiveReader reader, std::string name, std::string member);

  Status Read(size_t part, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const override;
  Status CheckUnchanged() const override;
  const ArchiveReader* archive() const override { return &reader_; }

 protected:
  Result<std::vector<Digest>> FileDigests() override;

 private:
  /// The path of a file below the member; nothing where it is not in it.
  std::optional<std::string> PathInMember(const std::string& path) const;
  std::unique_ptr<RangeReader> TakeRanges() const;
  void GiveBack(std::unique_ptr<RangeReader> ranges) const;

  std::shared_ptr<const ByteSource> source_;
  ArchiveReader reader_;
  std::string member_;
  std::vector<const IndexExtent*> extents_;  ///< one a part
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<RangeReader>> idle_;  ///< as many as ever were in use at a time
};

}  // namespace flyweight
