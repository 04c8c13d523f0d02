#include "pipeline/archive_input.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "archive/range_reader.h"
#include "archive/reader.h"
#include "base/checked.h"
#include "pipeline/base_input.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/extent_items.h"

namespace flyweight {
namespace {

/// Readers that are not in use, with the chunks they decoded last. Thread-safe.
class IdleReaders {
 public:
  explicit IdleReaders(const ArchiveReader& archive) : archive_(archive) {}

  struct Reader {
    explicit Reader(const ArchiveReader& archive) : ranges(archive) {}
    RangeReader ranges;
    CodecScratch scratch;
  };

  std::unique_ptr<Reader> Take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Reader>(archive_);
    std::unique_ptr<Reader> reader = std::move(idle_.back());
    idle_.pop_back();
    return reader;
  }
  void GiveBack(std::unique_ptr<Reader> reader) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(reader));
  }

 private:
  const ArchiveReader& archive_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Reader>> idle_;
};

/// A file of an archive, decoded as it is read.
class DecodedFile final : public Content, private ByteSource {
 public:
  DecodedFile(const IndexFile& file, IdleReaders& readers) : file_(file), readers_(readers) {
    uint64_t begin = 0;
    for (const IndexExtent& extent : file.extents) {
      begins_.push_back(begin);
      begin += extent.decoded_bytes;
    }
  }

  const ByteSource& source() const override { return *this; }
  Status CheckUnchanged() const override { return Status::Ok(); }  // whoever opened the archive checks

 private:
  uint64_t size() const override { return file_.file_bytes; }

  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    std::optional<uint64_t> end = CheckedAdd(offset, target.size());
    if (!end.has_value() || *end > size()) {
      return Error{ErrorCode::kTruncated, offset, "a read goes past the end of a file of the archive"};
    }
    if (target.empty()) return Status::Ok();
    std::unique_ptr<IdleReaders::Reader> reader = readers_.Take();
    Status status = ReadExtents(offset, target, *reader);
    readers_.GiveBack(std::move(reader));
    return status;
  }

  Status ReadExtents(uint64_t offset, MutableByteSpan target, IdleReaders::Reader& reader) const {
    auto number = static_cast<size_t>(std::ranges::upper_bound(begins_, offset) - begins_.begin()) - 1;
    for (; !target.empty(); ++number) {
      const IndexExtent& extent = file_.extents[number];
      uint64_t skip = offset - begins_[number];
      auto count = static_cast<size_t>(std::min<uint64_t>(target.size(), extent.decoded_bytes - skip));
      if (count == 0) continue;
      Status status = reader.ranges.Read(extent, skip, target.first(count), reader.scratch);
      if (!status.ok()) return WithContext(status.take_error(), extent.is_tensor ? extent.name : file_.name);
      target = target.subspan(count);
      offset += count;
    }
    return Status::Ok();
  }

  const IndexFile& file_;
  IdleReaders& readers_;
  std::vector<uint64_t> begins_;  // of the extents
};

class ArchiveInput final : public PackInput, private ContentSet {
 public:
  ArchiveInput(InputEndpoint input, ArchiveReader reader)
      : input_(std::move(input)), reader_(std::move(reader)), readers_(reader_) {}

  Result<ArchiveIndex> Describe(ThreadPool&) override {
    ArchiveIndex index;
    index.is_tree = reader_.index().is_tree;
    for (const IndexFile& file : reader_.index().files) {
      IndexFile& described = index.files.emplace_back(file);
      described.has_sha256 = false;
      described.sha256 = {};
      for (size_t i = 0; i < file.extents.size(); ++i) described.extents[i] = WithoutPlace(file.extents[i]);
    }
    return index;
  }

  const ContentSet& contents() const override { return *this; }
  uint64_t source_bytes() const override { return DecodedBytes(reader_.index(), AllFiles(reader_.index())); }
  uint32_t mode() const override { return input_.mode(); }
  int64_t modified_ns() const override { return input_.modified_ns(); }
  Status CheckUnchanged() const override {
    FLYWEIGHT_TRY(CheckBaseUnchanged(reader_));
    return input_.CheckUnchanged();
  }
  Status RemoveSource(const NoticeCallback&) override {
    return Error{ErrorCode::kInvalidArgument, 0, "an archive that was packed anew is not removed"};
  }

 private:
  static IndexExtent WithoutPlace(const IndexExtent& extent) {
    IndexExtent described;
    described.decoded_bytes = extent.decoded_bytes;
    described.is_tensor = extent.is_tensor;
    described.name = extent.name;
    described.dtype = extent.dtype;
    described.shape = extent.shape;
    described.place = extent.decoded_bytes <= kInlineMaxBytes ? PlaceKind::kInline : PlaceKind::kRecord;
    return described;
  }

  Result<std::shared_ptr<const Content>> Open(size_t file) const override {
    return std::shared_ptr<const Content>(std::make_shared<DecodedFile>(reader_.index().files[file], readers_));
  }

  InputEndpoint input_;
  ArchiveReader reader_;
  mutable IdleReaders readers_;
};

}  // namespace

Result<std::unique_ptr<PackInput>> OpenArchivePackInput(const std::string& path,
                                                        const std::vector<std::string>& bases) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(path, std::string(kStreamPath)));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  if (reader.is_lossy()) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "'" + path + "' is lossy; packed anew it would not say so. Decompress it, and compress the result"};
  }
  FLYWEIGHT_TRY(AttachBase(reader, path, bases, RowCheck::kWhole));
  return std::unique_ptr<PackInput>(std::make_unique<ArchiveInput>(std::move(input), std::move(reader)));
}

}  // namespace flyweight
