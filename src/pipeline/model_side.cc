#include "pipeline/model_side.h"

#include <algorithm>
#include <array>
#include <utility>

#include "container/annotate.h"
#include "pipeline/base_input.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/pack_input.h"

namespace flyweight {
namespace {

/// Where each extent of a file begins.
std::vector<uint64_t> OffsetsOf(const IndexFile& file) {
  std::vector<uint64_t> offsets;
  uint64_t offset = 0;
  for (const IndexExtent& extent : file.extents) {
    offsets.push_back(offset);
    offset += extent.decoded_bytes;
  }
  return offsets;
}

/// A directory.
class TreeSide final : public ModelSide {
 public:
  TreeSide(std::unique_ptr<PackInput> input, ArchiveIndex index)
      : input_(std::move(input)), index_(std::move(index)), contents_(input_->contents()) {
    for (const IndexFile& file : index_.files) offsets_.push_back(OffsetsOf(file));
  }

  const ArchiveIndex& index() const override { return index_; }

  Status Read(size_t file, size_t extent, uint64_t begin, MutableByteSpan target, size_t) override {
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(file));
    return content->source().ReadAt(offsets_[file][extent] + begin, target);
  }

  Status CheckUnchanged() const override { return input_->CheckUnchanged(); }

 private:
  std::unique_ptr<PackInput> input_;
  ArchiveIndex index_;
  ContentCache contents_;
  std::vector<std::vector<uint64_t>> offsets_;
};

class ArchiveSide final : public ModelSide {
 public:
  ArchiveSide(InputEndpoint input, ArchiveReader reader, size_t worker_count)
      : input_(std::move(input)), reader_(std::move(reader)), scratch_(worker_count) {}

  const ArchiveIndex& index() const override { return reader_.index(); }

  Status Read(size_t file, size_t extent, uint64_t begin, MutableByteSpan target, size_t worker) override {
    const IndexFile& holder = index().files[file];
    Status status = reader_.DecodeRange(holder.extents[extent], begin, target, scratch_[worker]);
    if (status.ok()) return status;
    std::string name = holder.extents[extent].name;
    return WithContext(status.take_error(), holder.name.empty() ? name : holder.name + ":" + name);
  }

  Status CheckUnchanged() const override {
    FLYWEIGHT_TRY(CheckBaseUnchanged(reader_));
    return input_.CheckUnchanged();
  }

 private:
  InputEndpoint input_;
  ArchiveReader reader_;
  std::vector<CodecScratch> scratch_;
};

class FileSide final : public ModelSide {
 public:
  FileSide(InputEndpoint input, ArchiveIndex index)
      : input_(std::move(input)), index_(std::move(index)), offsets_(OffsetsOf(index_.files.front())) {}

  const ArchiveIndex& index() const override { return index_; }

  Status Read(size_t, size_t extent, uint64_t begin, MutableByteSpan target, size_t) override {
    return input_.source->ReadAt(offsets_[extent] + begin, target);
  }

  Status CheckUnchanged() const override { return input_.CheckUnchanged(); }

 private:
  InputEndpoint input_;
  ArchiveIndex index_;
  std::vector<uint64_t> offsets_;
};

}  // namespace

Result<std::unique_ptr<ModelSide>> OpenModelSide(const std::string& path, const std::string& other, size_t worker_count,
                                                 const NoticeCallback& notice) {
  if (path != kStreamPath && IsDirectory(path)) {
    FLYWEIGHT_ASSIGN(std::unique_ptr<PackInput> input,
                     OpenTreeInput({path}, std::string(kStreamPath), Stripper(), notice));
    ThreadPool pool(worker_count);
    FLYWEIGHT_ASSIGN(ArchiveIndex index, input->Describe(pool));
    return std::unique_ptr<ModelSide>(std::make_unique<TreeSide>(std::move(input), std::move(index)));
  }
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(path, std::string(kStreamPath)));
  std::array<std::byte, 8> first_bytes{};
  bool is_archive = false;
  if (input.source->size() >= first_bytes.size()) {
    FLYWEIGHT_TRY(input.source->ReadAt(0, first_bytes));
    is_archive = LooksLikeArchive(first_bytes);
  }
  if (!is_archive) {
    FLYWEIGHT_ASSIGN(FileMap map, Annotate(*input.source));
    ArchiveIndex index = DescribeSingleFile(std::move(map), BaseNameOf(path), input.source->size());
    return std::unique_ptr<ModelSide>(std::make_unique<FileSide>(std::move(input), std::move(index)));
  }
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  if (reader.needs_base() && other != kStreamPath) {
    FLYWEIGHT_TRY(AttachBase(reader, path, {other}, RowCheck::kWhole));
  }
  return std::unique_ptr<ModelSide>(std::make_unique<ArchiveSide>(std::move(input), std::move(reader), worker_count));
}

}  // namespace flyweight
