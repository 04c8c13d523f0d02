#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "support/matchers.h"
#include "support/temp_dir.h"
#include "tree/restore.h"
#include "tree/walk.h"

// What the tests of this room share: trees on disk, entries by hand, notices collected.

namespace flyweight::test {

struct Noticed {
  TreeSeverity severity;
  Error error;
};

/// Collects notices, also from several threads.
class NoticeLog {
 public:
  TreeNotice Callback() {
    return [this](TreeSeverity severity, const Error& error) { all_.push_back({severity, error}); };
  }
  const std::vector<Noticed>& all() const { return all_; }
  size_t Count(TreeSeverity severity) const {
    return static_cast<size_t>(std::ranges::count(all_, severity, &Noticed::severity));
  }
  bool Mentions(const std::string& text) const {
    return std::ranges::any_of(
        all_, [&](const Noticed& noticed) { return noticed.error.message.find(text) != std::string::npos; });
  }

 private:
  std::vector<Noticed> all_;
};

inline EntryStat Stat(EntryKind kind, unsigned mode, FileTime modified = {1'600'000'000, 123'456'789}) {
  return {kind, static_cast<uint16_t>(mode), modified, {modified.seconds + 5, 987'654'321}};
}

inline TreeEntry DirectoryEntry(std::string path, unsigned mode = 0755) {
  TreeEntry entry;
  entry.path = std::move(path);
  entry.stat = Stat(EntryKind::kDirectory, mode);
  return entry;
}

inline TreeEntry FileEntry(std::string path, size_t size_bytes, unsigned mode = 0644) {
  TreeEntry entry;
  entry.path = std::move(path);
  entry.stat = Stat(EntryKind::kFile, mode);
  entry.size_bytes = size_bytes;
  return entry;
}

inline TreeEntry SymlinkEntry(std::string path, std::string target) {
  TreeEntry entry;
  entry.path = std::move(path);
  entry.stat = Stat(EntryKind::kSymlink, 0777);
  entry.link_target = std::move(target);
  return entry;
}

inline TreeEntry HardLinkEntry(std::string path) {
  TreeEntry entry;
  entry.path = std::move(path);
  entry.stat = Stat(EntryKind::kHardLink, 0644);
  return entry;
}

inline Status AddFile(TreeRestorer& restorer, const TreeEntry& entry, std::string_view content) {
  FLYWEIGHT_ASSIGN(std::unique_ptr<TreeFile> file, restorer.OpenFile(entry));
  FLYWEIGHT_TRY(file->WriteAt(0, AsBytes(content)));
  return file->Close();
}

inline Status AddFile(TreeRestorer& restorer, const std::string& path, std::string_view content, unsigned mode = 0644) {
  return AddFile(restorer, FileEntry(path, content.size(), mode), content);
}

inline std::unique_ptr<TreeRestorer> RestorerOrDie(const std::string& target, bool overwrite = false,
                                                   TreeNotice notice = {}) {
  Result<std::unique_ptr<TreeRestorer>> restorer = TreeRestorer::Create(target, {overwrite, std::move(notice)});
  if (restorer.ok()) return std::move(restorer).value();
  ADD_FAILURE() << restorer.error().message;
  return nullptr;
}

inline std::vector<TreeEntry> WalkOrDie(const TreeRoots& roots, const WalkOptions& options = {},
                                        const TreeNotice& notice = {}) {
  Result<std::vector<TreeEntry>> entries = WalkTree(roots, options, notice);
  if (entries.ok()) return std::move(entries).value();
  ADD_FAILURE() << entries.error().message;
  return {};
}

inline TreeRoots RootsOrDie(const std::vector<std::string>& inputs) {
  Result<TreeRoots> roots = TreeRoots::Open(inputs);
  if (!roots.ok()) throw std::runtime_error(roots.error().message);
  return std::move(roots).value();
}

inline std::vector<std::string> PathsOf(const std::vector<TreeEntry>& entries) {
  std::vector<std::string> paths;
  for (const TreeEntry& entry : entries) paths.push_back(entry.path);
  return paths;
}

inline struct stat StatOf(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status;
}

/// Puts a walked tree under another name, as an archive would.
inline Status CopyTree(const TreeRoots& roots, const std::vector<TreeEntry>& entries, TreeRestorer& restorer) {
  for (const TreeEntry& entry : entries) {
    if (entry.stat.kind == EntryKind::kDirectory) FLYWEIGHT_TRY(restorer.AddDirectory(entry));
    if (entry.stat.kind == EntryKind::kSymlink) FLYWEIGHT_TRY(restorer.AddSymlink(entry));
    if (entry.stat.kind == EntryKind::kHardLink) {
      FLYWEIGHT_TRY(restorer.AddHardLink(entry, entries[entry.hard_link_to].path));
    }
    if (entry.stat.kind != EntryKind::kFile) continue;
    FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> source, OpenTreeFile(roots, entry));
    std::vector<std::byte> content(source->size());
    FLYWEIGHT_TRY(source->ReadAt(0, content));
    FLYWEIGHT_TRY(AddFile(restorer, entry, AsText(content)));
  }
  return restorer.Finish();
}

/// Everything that an archive keeps of an entry, for comparing.
inline std::string Describe(const TreeEntry& entry) {
  auto time = [](const FileTime& at) { return std::to_string(at.seconds) + "." + std::to_string(at.nanoseconds); };
  return entry.path + " kind " + std::to_string(static_cast<int>(entry.stat.kind)) + " mode " +
         std::to_string(entry.stat.mode) + " modified " + time(entry.stat.modified) + " to '" + entry.link_target +
         "' link " + std::to_string(entry.hard_link_to) + " size " + std::to_string(entry.size_bytes);
}

inline std::vector<std::string> DescribeAll(const std::vector<TreeEntry>& entries) {
  std::vector<std::string> lines;
  for (const TreeEntry& entry : entries) lines.push_back(Describe(entry));
  return lines;
}

/// Name of each directory of a deep chain: some hundred of them make a path longer than the kernel takes.
inline constexpr char kDeepName[] = "directory-of-some-length";

/// A chain of `depth` directories below `top`, with a file "leaf" in the last.
inline bool MakeDeepChain(const std::string& top, int depth) {
  OwnedDescriptor current = OpenAt(AT_FDCWD, top.c_str(), O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < depth && current.valid(); ++i) {
    if (mkdirat(current.get(), kDeepName, 0755) != 0) return false;
    current = OpenAt(current.get(), kDeepName, O_RDONLY | O_DIRECTORY);
  }
  OwnedDescriptor leaf = OpenAt(current.get(), "leaf", O_WRONLY | O_CREAT, 0644);
  return leaf.valid() && WriteFileAt(leaf.get(), 0, AsBytes("deep"), "leaf").ok();
}

}  // namespace flyweight::test
