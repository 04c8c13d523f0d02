#include "tree/walk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "tree/directory_stack.h"

namespace flyweight {
namespace {

constexpr uint16_t kMadeUpRootMode = 0755;

// A name that is left out: in the directory of this identity.
struct ExcludedName {
  FileIdentity directory;
  std::string name;
};

class Walker {
 public:
  Walker(const TreeRoots& roots, const WalkOptions& options, const TreeNotice& notice)
      : roots_(roots), options_(options), notice_(notice) {}

  Result<std::vector<TreeEntry>> Walk() {
    ResolveExcludedPaths();
    FLYWEIGHT_TRY(roots_.is_single_directory() ? WalkRoot() : WalkInputs());
    entries_.shrink_to_fit();
    return std::move(entries_);
  }

 private:
  struct Level {
    NameList names;
    size_t path_bytes;  // of the directory's own path
  };

  Status WalkRoot();
  Status WalkInputs();
  Status WalkLevels();
  Status Visit(int directory, const FileIdentity& holder, const std::string& name);
  Status AddDirectory(int directory, const std::string& name, TreeEntry entry);
  void AddOther(int directory, const std::string& name, TreeEntry entry, bool has_other_names);
  bool Enter();
  void ResolveExcludedPaths();
  bool IsExcluded(const FileIdentity& holder, const std::string& name, const FileIdentity& identity) const;

  void Tell(TreeSeverity severity, Error error) {
    if (notice_) notice_(severity, error);
  }
  void TellCannotRead() { Tell(TreeSeverity::kError, SystemError(Cannot("read", roots_.DiskPath(path_)), errno)); }
  Error Replaced() const {
    return {ErrorCode::kSourceChanged, 0,
            "the directory '" + roots_.DiskPath(path_) + "' was replaced while it was walked"};
  }

  const TreeRoots& roots_;
  const WalkOptions& options_;
  const TreeNotice& notice_;
  std::vector<ExcludedName> excluded_names_;
  std::vector<TreeEntry> entries_;
  std::map<FileIdentity, uint64_t> first_names_;  // of files that have several
  DirectoryStack stack_;
  std::vector<Level> levels_;
  std::string path_;  // where the walk is, in the tree
};

void Walker::ResolveExcludedPaths() {
  for (const std::string& path : options_.exclude_paths) {
    size_t slash = path.rfind('/');
    std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    struct stat status;
    if (fstatat(AT_FDCWD, directory.c_str(), &status, 0) != 0) continue;  // then nothing that is walked stands there
    excluded_names_.push_back({IdentityOf(status), std::string(BaseName(path))});
  }
}

bool Walker::IsExcluded(const FileIdentity& holder, const std::string& name, const FileIdentity& identity) const {
  auto is_it = [&](const ExcludedName& excluded) { return excluded.directory == holder && excluded.name == name; };
  return std::ranges::find(options_.exclude, identity) != options_.exclude.end() ||
         std::ranges::any_of(excluded_names_, is_it);
}

Status Walker::WalkRoot() {
  struct stat status;
  if (fstat(roots_.root_descriptor(), &status) != 0) return SystemError(Cannot("read", roots_.DiskPath("")), errno);
  TreeEntry root;
  root.stat = EntryStatOf(status);
  root.device = IdentityOf(status).device;
  root.inode = IdentityOf(status).inode;
  entries_.push_back(std::move(root));
  OwnedDescriptor top = OpenQuietly(roots_.root_descriptor(), ".", O_DIRECTORY);
  if (!top.valid() || !stack_.PushTop(std::move(top)) || !Enter()) {
    return SystemError(Cannot("read", roots_.DiskPath("")), errno);
  }
  return WalkLevels();
}

Status Walker::WalkInputs() {
  TreeEntry root;
  root.stat.kind = EntryKind::kDirectory;
  root.stat.mode = kMadeUpRootMode;
  entries_.push_back(std::move(root));
  FileTime newest{INT64_MIN, 0};
  for (const std::string& name : roots_.names()) {
    FLYWEIGHT_ASSIGN(HeldName held, roots_.HoldName(name));
    struct stat holder;
    if (fstat(held.directory(), &holder) != 0) return SystemError(Cannot("read", roots_.DiskPath(name)), errno);
    path_ = name;
    size_t index = entries_.size();
    FLYWEIGHT_TRY(Visit(held.directory(), IdentityOf(holder), held.name));
    FLYWEIGHT_TRY(WalkLevels());
    if (index < entries_.size()) newest = std::max(newest, entries_[index].stat.modified);
  }
  // Made of what was found, so that the same inputs give the same tree.
  if (newest.seconds != INT64_MIN) entries_[0].stat.modified = entries_[0].stat.accessed = newest;
  return Status::Ok();
}

// Reads the names of the directory on top of the stack.
bool Walker::Enter() {
  NameList names;
  if (!names.Read(stack_.descriptor())) return false;
  levels_.push_back({std::move(names), path_.size()});
  return true;
}

Status Walker::WalkLevels() {
  while (!levels_.empty()) {
    Level& level = levels_.back();
    path_.resize(level.path_bytes);
    if (level.names.AtEnd()) {
      levels_.pop_back();
      if (!stack_.Pop()) return Replaced();
      continue;
    }
    std::string name = level.names.Take();
    if (!path_.empty()) path_ += '/';
    path_ += name;
    FLYWEIGHT_TRY(Visit(stack_.descriptor(), stack_.identity(), name));
  }
  return Status::Ok();
}

Status Walker::Visit(int directory, const FileIdentity& holder, const std::string& name) {
  struct stat status;
  if (!StatName(directory, name, status)) {
    TellCannotRead();
    return Status::Ok();
  }
  FileIdentity identity = IdentityOf(status);
  if (IsExcluded(holder, name, identity)) return Status::Ok();
  bool is_known_kind = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode);
  TreeEntry entry;
  entry.stat = EntryStatOf(status);
  if (is_known_kind && options_.keep && !options_.keep(path_, entry.stat.kind)) return Status::Ok();
  if (!is_known_kind) {
    Tell(TreeSeverity::kWarning, {ErrorCode::kInvalidArgument, 0,
                                  "'" + roots_.DiskPath(path_) + "' is left out: it is a pipe, socket or device"});
    return Status::Ok();
  }
  if (Status fits = CheckEntryPath(path_); !fits.ok()) {
    Tell(TreeSeverity::kError, {ErrorCode::kLimitExceeded, 0, "left out: " + fits.error().message});
    return Status::Ok();
  }
  entry.path = path_;
  entry.device = identity.device;
  entry.inode = identity.inode;
  if (S_ISDIR(status.st_mode)) return AddDirectory(directory, name, std::move(entry));
  if (S_ISREG(status.st_mode)) entry.size_bytes = static_cast<uint64_t>(status.st_size);
  AddOther(directory, name, std::move(entry), status.st_nlink > 1);
  return Status::Ok();
}

Status Walker::AddDirectory(int directory, const std::string& name, TreeEntry entry) {
  FileIdentity identity{entry.device, entry.inode};
  if (stack_.Contains(identity)) {
    Tell(TreeSeverity::kError, {ErrorCode::kInvalidArgument, 0,
                                "'" + roots_.DiskPath(path_) + "' is left out: it is a directory that holds itself"});
    return Status::Ok();
  }
  bool is_open = false;
  if (stack_.depth() > 0) {
    is_open = stack_.Push(name);
  } else {
    OwnedDescriptor top = OpenQuietly(directory, name, O_DIRECTORY);
    is_open = top.valid() && stack_.PushTop(std::move(top));
  }
  if (!is_open && errno == ENOENT) {
    TellCannotRead();
    return Status::Ok();
  }
  if (!is_open && (errno == ENOTDIR || errno == ELOOP)) return Replaced();
  if (is_open && stack_.identity() != identity) return Replaced();
  entries_.push_back(std::move(entry));
  if (is_open && Enter()) return Status::Ok();
  TellCannotRead();
  if (is_open && !stack_.Pop()) return Replaced();
  return Status::Ok();
}

void Walker::AddOther(int directory, const std::string& name, TreeEntry entry, bool has_other_names) {
  if (entry.stat.kind == EntryKind::kSymlink) {
    if (!ReadLink(directory, name, entry.link_target)) return TellCannotRead();
    if (Status fits = CheckLinkTarget(entry.link_target); !fits.ok()) {
      return Tell(TreeSeverity::kError, WithContext(fits.error(), "'" + roots_.DiskPath(path_) + "' is left out"));
    }
  } else if (has_other_names) {
    auto [first, is_first] = first_names_.try_emplace(FileIdentity{entry.device, entry.inode}, entries_.size());
    if (!is_first) {
      entry.stat.kind = EntryKind::kHardLink;
      entry.hard_link_to = first->second;
    }
  }
  entries_.push_back(std::move(entry));
}

}  // namespace

Result<std::vector<TreeEntry>> WalkTree(const TreeRoots& roots, const WalkOptions& options, const TreeNotice& notice) {
  return Walker(roots, options, notice).Walk();
}

}  // namespace flyweight
