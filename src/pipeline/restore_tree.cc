#include "pipeline/restore_tree.h"

#include <map>
#include <memory>
#include <mutex>

#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/tree_entry.h"
#include "tree/restore.h"

namespace flyweight {
namespace {

/// Takes decoded chunks and finished files to the restorer. Files are open from their first chunk to their last.
class TreeWriter {
 public:
  TreeWriter(const ArchiveReader& reader, const std::set<size_t>& damaged, TreeRestorer& restorer)
      : files_(reader.index().files), damaged_(damaged), restorer_(restorer) {}

  /// Any thread.
  Status Write(size_t file, uint64_t offset, ByteSpan chunk) {
    FLYWEIGHT_ASSIGN(TreeFile * open, OpenFile(file));
    return open->WriteAt(offset, chunk);
  }

  /// Makes everything but directories, which stand already.
  Status Finish(size_t file) {
    const IndexFile& entry = files_[file];
    switch (entry.entry.kind) {
      case EntryKind::kDirectory:
        return Status::Ok();
      case EntryKind::kSymlink:
        return restorer_.AddSymlink(ToTreeEntry(entry));
      case EntryKind::kHardLink:
        return restorer_.AddHardLink(EntryOf(file), EntryOf(entry.hard_link_to).path);
      case EntryKind::kFile:
        break;
    }
    FLYWEIGHT_ASSIGN(TreeFile * open, OpenFile(file));
    FLYWEIGHT_TRY(open->Close());
    std::lock_guard lock(mutex_);
    open_.erase(file);
    return Status::Ok();
  }

 private:
  TreeEntry EntryOf(size_t file) const {
    TreeEntry entry = ToTreeEntry(files_[file]);
    size_t content = entry.stat.kind == EntryKind::kHardLink ? static_cast<size_t>(entry.hard_link_to) : file;
    if (damaged_.contains(content)) entry.path += kDamagedSuffix;
    return entry;
  }

  Result<TreeFile*> OpenFile(size_t file) {
    std::lock_guard lock(mutex_);
    auto found = open_.find(file);
    if (found != open_.end()) return found->second.get();
    FLYWEIGHT_ASSIGN(std::unique_ptr<TreeFile> opened, restorer_.OpenFile(EntryOf(file)));
    FLYWEIGHT_TRY(opened->Reserve(files_[file].file_bytes));
    return open_.emplace(file, std::move(opened)).first->second.get();
  }

  const std::vector<IndexFile>& files_;
  const std::set<size_t>& damaged_;
  TreeRestorer& restorer_;
  std::mutex mutex_;
  std::map<size_t, std::unique_ptr<TreeFile>> open_;
};

/// Directories come first, since chunks of several files arrive at once.
Result<uint64_t> AddDirectories(const ArchiveIndex& index, const MemberFilter& filter, TreeRestorer& restorer) {
  uint64_t count = 0;
  for (size_t file = 0; file < index.files.size(); ++file) {
    if (!filter.IsSelected(file)) continue;
    ++count;
    if (index.files[file].entry.kind == EntryKind::kDirectory) {
      FLYWEIGHT_TRY(restorer.AddDirectory(ToTreeEntry(index.files[file])));
    }
  }
  return count;
}

}  // namespace

Result<uint64_t> RestoreTree(const ArchiveReader& reader, const MemberFilter& filter, const std::set<size_t>& damaged,
                             const std::string& target, const DecompressOptions& options) {
  RestoreOptions restore;
  restore.overwrite = options.overwrite;
  restore.notice = ForwardNotices(options.notice);
  FLYWEIGHT_ASSIGN(std::unique_ptr<TreeRestorer> restorer, TreeRestorer::Create(target, std::move(restore)));
  FLYWEIGHT_ASSIGN(uint64_t count, AddDirectories(reader.index(), filter, *restorer));

  TreeWriter writer(reader, damaged, *restorer);
  DecodeOptions decode;
  decode.visit = [&](size_t file, uint64_t offset, ByteSpan chunk, size_t) {
    return writer.Write(file, offset, chunk);
  };
  if (!damaged.empty()) decode.lose = [](const LostRange&) {};  // reported before
  decode.finish_file = [&](size_t file) { return writer.Finish(file); };
  ThreadPool pool(UsefulThreadCount(options.thread_count, filter.file_bytes()));
  ProgressMeter progress(options.progress, filter.file_bytes());
  progress.SetStage("decompress");
  for (FileRange range : filter.Ranges()) {
    FLYWEIGHT_TRY(DecodeArchive(reader, range, decode, pool, progress));
  }
  FLYWEIGHT_TRY(restorer->Finish());
  return count;
}

}  // namespace flyweight
