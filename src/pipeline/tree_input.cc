#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "container/annotate.h"
#include "pipeline/encode.h"
#include "pipeline/pack_input.h"
#include "pipeline/tree_entry.h"
#include "tree/walk.h"

namespace flyweight {
namespace {

constexpr uint32_t kReadWriteBits = 0666;
constexpr size_t kEntryMaxCount = size_t{1} << 20;

using SharedEdits = std::shared_ptr<const EditList>;

/// A file of a tree, as it was walked; without the tensors that were stripped, where there are edits.
class TreeContent final : public Content {
 public:
  /// `roots` and `entry` must outlive it.
  TreeContent(const TreeRoots& roots, const TreeEntry& entry, std::unique_ptr<FileSource> file,
              const SharedEdits& edits)
      : roots_(roots), entry_(entry), file_(std::move(file)) {
    if (edits != nullptr) stripped_ = std::make_unique<EditedSource>(*file_, edits);
  }
  const ByteSource& source() const override {
    if (stripped_ != nullptr) return *stripped_;
    return *file_;
  }
  Status CheckUnchanged() const override { return CheckTreeEntry(roots_, entry_); }

 private:
  const TreeRoots& roots_;
  const TreeEntry& entry_;
  std::unique_ptr<FileSource> file_;
  std::unique_ptr<EditedSource> stripped_;
};

/// A directory, or several inputs. Entry and file of the index have the same number.
class TreeInput final : public PackInput, private ContentSet {
 public:
  TreeInput(TreeRoots roots, std::vector<TreeEntry> entries, std::optional<FileIdentity> target_directory,
            Stripper stripper, const NoticeCallback& notice)
      : roots_(std::move(roots)),
        entries_(std::move(entries)),
        target_directory_(target_directory),
        stripper_(std::move(stripper)),
        edits_(entries_.size()),
        notice_(ForwardNotices(notice)) {
    for (const TreeEntry& entry : entries_) {
      if (entry.stat.kind == EntryKind::kFile) source_bytes_ += entry.size_bytes;
    }
  }

  Result<ArchiveIndex> Describe(ThreadPool& pool) override {
    ArchiveIndex index;
    index.is_tree = true;
    index.files.resize(entries_.size());
    std::vector<char> is_left_out(entries_.size());
    std::vector<Error> errors(entries_.size());
    FLYWEIGHT_TRY(pool.ParallelFor(entries_.size(), [&](size_t number, size_t) -> Status {
      Result<IndexFile> file = DescribeEntry(entries_[number], edits_[number]);
      if (file.ok()) {
        index.files[number] = std::move(file).value();
      } else if (file.error().code == ErrorCode::kIo) {
        is_left_out[number] = 1;
        errors[number] = file.take_error();
      } else {
        return file.take_error();
      }
      return Status::Ok();
    }));
    for (size_t number = 0; number < errors.size(); ++number) {
      if (is_left_out[number] != 0) notice_(TreeSeverity::kError, errors[number]);
    }
    if (std::ranges::count(is_left_out, 1) > 0) LeaveOut(is_left_out, index);
    if (stripper_.enabled() && std::ranges::all_of(edits_, [](const SharedEdits& edits) { return edits == nullptr; })) {
      notice_(TreeSeverity::kWarning,
              {ErrorCode::kInvalidArgument, 0, "nothing in any file matches what is to be stripped"});
    }
    return index;
  }

  const ContentSet& contents() const override { return *this; }
  uint64_t source_bytes() const override { return source_bytes_; }
  uint32_t mode() const override {
    return roots_.is_single_directory() ? entries_.front().stat.mode & kReadWriteBits : InputEndpoint().mode();
  }
  int64_t modified_ns() const override {
    return roots_.is_single_directory() ? ToNanoseconds(entries_.front().stat.modified) : InputEndpoint().modified_ns();
  }
  /// Each file is checked when its end was read; here, that no name moved past the walk. The directory that the archive
  /// is written into changes by that.
  Status CheckUnchanged() const override {
    for (const TreeEntry& entry : entries_) {
      bool is_target = target_directory_.has_value() && entry.device == target_directory_->device &&
                       entry.inode == target_directory_->inode;
      if (entry.stat.kind != EntryKind::kDirectory || is_target) continue;
      FLYWEIGHT_TRY(CheckTreeListing(roots_, entry));
    }
    return Status::Ok();
  }

  Status RemoveSource(const NoticeCallback& notice) override {
    RemoveTree(roots_, entries_, ForwardNotices(notice));
    return Status::Ok();
  }

 private:
  Result<IndexFile> DescribeEntry(const TreeEntry& entry, SharedEdits& edits) const {
    IndexFile file = ToIndexFile(entry);
    if (entry.stat.kind != EntryKind::kFile) return file;
    FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> source, OpenTreeFile(roots_, entry));
    FLYWEIGHT_ASSIGN(std::optional<Stripper::Stripped> stripped, stripper_.Apply(*source, entry.path));
    if (stripped.has_value()) edits = stripped->edits;
    const TreeContent content(roots_, entry, std::move(source), edits);
    FLYWEIGHT_ASSIGN(FileMap map, Annotate(content.source()));
    IndexFile described = DescribeFile(std::move(map), std::move(file.name), content.source().size());
    described.entry = file.entry;
    if (stripped.has_value()) described.attributes = std::move(stripped->attributes);
    return described;
  }

  /// Drops files that could not be read, and hard links to them.
  void LeaveOut(std::vector<char>& is_left_out, ArchiveIndex& index) {
    std::vector<size_t> new_numbers(entries_.size());
    size_t kept_count = 0;
    for (size_t number = 0; number < entries_.size(); ++number) {
      TreeEntry& entry = entries_[number];
      bool is_link = entry.stat.kind == EntryKind::kHardLink;
      if (is_left_out[number] != 0 || (is_link && is_left_out[entry.hard_link_to] != 0)) {
        source_bytes_ -= is_link ? 0 : entry.size_bytes;
        continue;
      }
      if (is_link) {
        entry.hard_link_to = new_numbers[entry.hard_link_to];
        index.files[number].hard_link_to = static_cast<uint32_t>(entry.hard_link_to);
      }
      new_numbers[number] = kept_count;
      if (kept_count != number) {
        entries_[kept_count] = std::move(entry);
        edits_[kept_count] = std::move(edits_[number]);
        index.files[kept_count] = std::move(index.files[number]);
      }
      ++kept_count;
    }
    entries_.resize(kept_count);
    edits_.resize(kept_count);
    index.files.resize(kept_count);
  }

  Result<std::shared_ptr<const Content>> Open(size_t file) const override {
    FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> source, OpenTreeFile(roots_, entries_[file]));
    return std::shared_ptr<const Content>(
        std::make_shared<TreeContent>(roots_, entries_[file], std::move(source), edits_[file]));
  }

  TreeRoots roots_;
  std::vector<TreeEntry> entries_;
  std::optional<FileIdentity> target_directory_;  ///< which the archive is written into
  Stripper stripper_;
  std::vector<SharedEdits> edits_;  ///< by entry; nothing where nothing was stripped
  TreeNotice notice_;
  uint64_t source_bytes_ = 0;
};

}  // namespace

Result<std::unique_ptr<PackInput>> OpenTreeInput(const std::vector<std::string>& sources, const std::string& target,
                                                 const Stripper& stripper, const NoticeCallback& notice) {
  if (std::ranges::count(sources, std::string(kStreamPath)) > 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "standard input cannot be one of several inputs"};
  }
  FLYWEIGHT_ASSIGN(TreeRoots roots, TreeRoots::Open(sources));
  WalkOptions options;
  std::optional<FileIdentity> target_directory;
  if (target != kStreamPath) {
    struct stat status;
    if (stat(DirectoryOf(target).c_str(), &status) == 0) target_directory = IdentityOf(status);
    options.exclude_paths = {target, DirectoryOf(target) + "/" + PartialNameOf(BaseNameOf(target))};
  }
  FLYWEIGHT_ASSIGN(std::vector<TreeEntry> entries, WalkTree(roots, options, ForwardNotices(notice)));
  if (entries.size() > kEntryMaxCount) {
    return Error{ErrorCode::kLimitExceeded, 0,
                 std::to_string(entries.size()) + " files and directories are more than the " +
                     std::to_string(kEntryMaxCount) + " that an archive holds"};
  }
  return std::unique_ptr<PackInput>(
      std::make_unique<TreeInput>(std::move(roots), std::move(entries), target_directory, stripper, notice));
}

}  // namespace flyweight
