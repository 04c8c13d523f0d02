#include "pipeline/pack_input.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "container/annotate.h"
#include "pipeline/encode.h"

namespace flyweight {
namespace {

/// One file, or standard input.
class FileInput final : public PackInput {
 public:
  FileInput(InputEndpoint input, std::string path, Stripper stripper, NoticeCallback notice)
      : input_(std::move(input)),
        path_(std::move(path)),
        stripper_(std::move(stripper)),
        notice_(std::move(notice)),
        contents_(*input_.source) {}

  Result<ArchiveIndex> Describe(ThreadPool&) override {
    FLYWEIGHT_ASSIGN(std::optional<Stripper::Stripped> stripped, stripper_.Apply(*input_.source, BaseNameOf(path_)));
    if (!stripped.has_value()) {
      if (stripper_.enabled() && notice_) notice_({path_, "nothing in '" + path_ + "' matches what is to be stripped"});
      return DescribeContent(*input_.source);
    }
    stripped_source_ = std::make_unique<EditedSource>(*input_.source, stripped->edits);
    contents_ = SingleContent(*stripped_source_);
    FLYWEIGHT_ASSIGN(ArchiveIndex index, DescribeContent(*stripped_source_));
    index.files.front().attributes = std::move(stripped->attributes);
    return index;
  }
  const ContentSet& contents() const override { return contents_; }
  uint64_t source_bytes() const override { return input_.source->size(); }
  uint32_t mode() const override { return input_.mode(); }
  int64_t modified_ns() const override { return input_.modified_ns(); }
  Status CheckUnchanged() const override { return input_.CheckUnchanged(); }

  Status RemoveSource(const NoticeCallback&) override {
    if (input_.file == nullptr) return Status::Ok();
    FLYWEIGHT_TRY(input_.CheckUnchanged());
    if (unlink(path_.c_str()) == 0) return Status::Ok();
    return Error{ErrorCode::kIo, 0,
                 "the archive is complete, but '" + path_ + "' could not be removed: " + std::strerror(errno)};
  }

 private:
  Result<ArchiveIndex> DescribeContent(const ByteSource& content) const {
    FLYWEIGHT_ASSIGN(FileMap map, Annotate(content));
    return DescribeSingleFile(std::move(map), BaseNameOf(path_), content.size());
  }

  InputEndpoint input_;
  std::string path_;
  Stripper stripper_;
  NoticeCallback notice_;
  std::unique_ptr<EditedSource> stripped_source_;
  SingleContent contents_;
};

}  // namespace

bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Result<std::unique_ptr<PackInput>> OpenPackInput(const std::vector<std::string>& sources, const std::string& target,
                                                 const Stripper& stripper, const NoticeCallback& notice) {
  if (sources.empty()) return Error{ErrorCode::kInvalidArgument, 0, "there is nothing to compress"};
  if (sources.size() > 1 || (sources.front() != kStreamPath && IsDirectory(sources.front()))) {
    return OpenTreeInput(sources, target, stripper, notice);
  }
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenInput(sources.front(), target));
  FLYWEIGHT_TRY(RefuseSameFile(input, target));
  return std::unique_ptr<PackInput>(std::make_unique<FileInput>(std::move(input), sources.front(), stripper, notice));
}

}  // namespace flyweight
