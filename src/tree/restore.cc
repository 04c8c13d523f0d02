#include "tree/restore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/hash.h"
#include "tree/attributes.h"
#include "tree/directory_stack.h"

namespace flyweight {
namespace {

constexpr char kHiddenSuffix[] = ".flyweight-tree";

std::string HiddenNameOf(const std::string& target_name) {
  std::string name = "." + target_name + kHiddenSuffix;
  if (name.size() <= kEntryNameMaxBytes) return name;
  uint64_t hash = Xxh3(AsBytes(target_name));
  return "." + ToHex(std::as_bytes(std::span(&hash, 1))) + kHiddenSuffix;
}

Result<bool> HoldsNames(int directory, const std::string& hidden_name, const std::string& path) {
  OwnedDescriptor readable = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  NameList names;
  if (!readable.valid() || !names.Read(readable.get())) return SystemError(Cannot("read", path), errno);
  while (!names.AtEnd()) {
    if (names.Take() != hidden_name) return true;
  }
  return false;
}

bool IsMountPoint(int directory, const std::string& name, const struct stat& status, const struct stat& parent) {
  if (status.st_dev != parent.st_dev) return true;
  struct statx more;
  return statx(directory, name.c_str(), AT_SYMLINK_NOFOLLOW, 0, &more) == 0 &&
         (more.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// Opens a directory of a tree to change what it is; invalid with errno set.
OwnedDescriptor OpenDirectory(HolderCache& cache, int root, const std::string& path) {
  std::shared_ptr<OwnedDescriptor> holder = cache.OpenIn(root, ParentPath(path));
  if (holder == nullptr) return OwnedDescriptor();
  return OpenAt(holder->get(), std::string(BaseName(path)).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

Result<std::unique_ptr<TreeRestorer>> TreeRestorer::Create(const std::string& target_path, RestoreOptions options) {
  std::unique_ptr<TreeRestorer> restorer(new TreeRestorer(std::move(options)));
  FLYWEIGHT_TRY(restorer->FindTarget(target_path));
  FLYWEIGHT_TRY(restorer->LookAtTarget());
  FLYWEIGHT_TRY(restorer->MakeHidden());
  return restorer;
}

TreeRestorer::~TreeRestorer() {
  if (!finished_ && hidden_.descriptor() >= 0) hidden_.Remove(holder());
}

// Splits the path and opens the directory that holds the target.
Status TreeRestorer::FindTarget(const std::string& target_path) {
  target_path_ = target_path;
  while (target_path_.size() > 1 && target_path_.back() == '/') target_path_.pop_back();
  if (target_path_.empty() || target_path_.find('\0') != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument, 0, "the name of the directory to restore to is empty or contains NUL"};
  }
  std::string_view name = BaseName(target_path_);
  if (name == "." || name == "..") {
    std::unique_ptr<char, void (*)(void*)> real(realpath(target_path_.c_str(), nullptr), std::free);
    if (real == nullptr) return SystemError(Cannot("restore to", target_path_), errno);
    target_path_ = real.get();
  }
  size_t slash = target_path_.rfind('/');
  target_name_ = slash == std::string::npos ? target_path_ : target_path_.substr(slash + 1);
  if (target_name_.empty()) {
    return Error{ErrorCode::kInvalidArgument, 0, "'/' cannot be restored to; name a directory below it"};
  }
  std::string directory = slash == std::string::npos ? "." : target_path_.substr(0, slash + 1);
  beside_ = OpenAt(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY);
  return beside_.valid() ? Status::Ok() : SystemError(Cannot("restore to", target_path_), errno);
}

// Opens the target where it is there already, and refuses what cannot be restored to.
Status TreeRestorer::LookAtTarget() {
  struct stat status, parent;
  target_.Reset();
  target_has_names_ = false;
  if (!StatName(beside_.get(), target_name_, status)) {
    return errno == ENOENT ? Status::Ok() : SystemError(Cannot("restore to", target_path_), errno);
  }
  if (S_ISLNK(status.st_mode)) {
    return Error{ErrorCode::kExists, 0,
                 "'" + target_path_ + "' is a symbolic link, which is not followed; name the directory itself"};
  }
  if (!S_ISDIR(status.st_mode)) {
    return Error{ErrorCode::kExists, 0, "'" + target_path_ + "' is in the way: a directory is to be restored there"};
  }
  target_ = OpenAt(beside_.get(), target_name_.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!target_.valid() || fstat(beside_.get(), &parent) != 0) {
    return SystemError(Cannot("restore to", target_path_), errno);
  }
  target_is_mount_ = IsMountPoint(beside_.get(), target_name_, status, parent);
  FLYWEIGHT_ASSIGN(target_has_names_, HoldsNames(target_.get(), HiddenNameOf(target_name_), target_path_));
  if (!target_has_names_ || overwrite_) return Status::Ok();
  return Error{ErrorCode::kExists, 0,
               "the directory '" + target_path_ + "' holds something already; ask for overwriting to merge into it"};
}

Status TreeRestorer::MakeHidden() {
  std::string name = HiddenNameOf(target_name_);
  // Where a killed run worked inside, this one does so too, so that what it left is removed.
  struct stat left;
  inside_target_ = target_.valid() && (target_is_mount_ || StatName(target_.get(), name, left));
  int mkdir_errno = 0;
  Result<HiddenDirectory> made = HiddenDirectory::Make(holder(), name, target_path_, &mkdir_errno);
  bool is_denied = mkdir_errno == EACCES || mkdir_errno == EPERM || mkdir_errno == EROFS;
  if (!made.ok() && is_denied && target_.valid() && !inside_target_) {
    inside_target_ = true;
    made = HiddenDirectory::Make(holder(), name, target_path_, &mkdir_errno);
  }
  FLYWEIGHT_ASSIGN(hidden_, std::move(made));
  return Status::Ok();
}

// Attributes of directories, those that hold others after them, since every change inside moves their times.
Status TreeRestorer::ApplyToDirectories(int root, bool with_root) {
  HolderCache cache;
  for (size_t i = directories_.size(); i-- > 0;) {
    const RestoredDirectory& directory = directories_[i];
    std::string shown = target_path_ + "/" + directory.path;
    OwnedDescriptor opened = OpenDirectory(cache, root, directory.path);
    if (opened.valid()) {
      FLYWEIGHT_TRY(ApplyAttributes(opened.get(), shown, directory.stat, notices_));
    } else if (errno == EACCES) {  // one that was in the target before; what it holds is there
      notices_.Tell(TreeSeverity::kError, SystemError(Cannot("set the permissions of", shown), errno));
    } else {
      return SystemError(Cannot("set the permissions of", shown), errno);
    }
  }
  if (!with_root || !root_added_) return Status::Ok();
  return ApplyAttributes(root, target_path_, root_stat_, notices_);
}

// One by one where they are few, else the whole file system at once.
Status TreeRestorer::SyncDirectories(int root) {
  constexpr size_t kSingleMax = 16;
  if (unsynced_count_ > 0 || directories_.size() > kSingleMax) return SyncFileSystem(root, target_path_);
  for (const RestoredDirectory& directory : directories_) {
    OwnedDescriptor opened = OpenBeneath(root, directory.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!opened.valid() && errno == EACCES) return SyncFileSystem(root, target_path_);
    if (!opened.valid()) return SystemError(Cannot("restore", target_path_ + "/" + directory.path), errno);
    FLYWEIGHT_TRY(SyncDescriptor(opened.get(), target_path_ + "/" + directory.path));
  }
  return SyncDescriptor(root, target_path_);
}

// rename() of a directory takes a free name or that of an empty directory, and replaces nothing else.
Status TreeRestorer::TakeName() {
  FLYWEIGHT_TRY(ApplyToDirectories(hidden_.descriptor(), /*with_root=*/true));
  FLYWEIGHT_TRY(SyncDirectories(hidden_.descriptor()));
  if (renameat(beside_.get(), hidden_.name().c_str(), beside_.get(), target_name_.c_str()) != 0) {
    if (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR) {
      return Error{ErrorCode::kExists, 0, "'" + target_path_ + "' came into being meanwhile and is left as it is"};
    }
    return SystemError(Cannot("restore", target_path_), errno);
  }
  finished_ = true;
  OwnedDescriptor readable = OpenAt(beside_.get(), ".", O_RDONLY | O_DIRECTORY);
  return readable.valid() ? SyncDescriptor(readable.get(), target_path_) : Status::Ok();
}

Status TreeRestorer::Merge() {
  FLYWEIGHT_TRY(SyncDirectories(hidden_.descriptor()));
  OwnedDescriptor target = OpenAt(target_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!target.valid()) return SystemError(Cannot("restore to", target_path_), errno);
  MergeRequest request{hidden_.descriptor(), target.get(), directories_, overwrite_, target_path_};
  FLYWEIGHT_TRY(MergeTree(request));
  hidden_.Remove(holder());
  finished_ = true;
  FLYWEIGHT_TRY(ApplyToDirectories(target.get(), /*with_root=*/!target_has_names_));
  return SyncDirectories(target.get());
}

Status TreeRestorer::Finish() {
  if (finished_) return Error{ErrorCode::kInternal, 0, "'" + target_path_ + "' was put under its name twice"};
  if (uint64_t count = unfinished_count_; count > 0) {
    return Error{ErrorCode::kInternal, 0, std::to_string(count) + " files of '" + target_path_ + "' are not complete"};
  }
  FLYWEIGHT_TRY(CopyPending());
  // Where the hidden directory is inside, it must stay the same target.
  if (!inside_target_) FLYWEIGHT_TRY(LookAtTarget());
  if (inside_target_ || target_has_names_) return Merge();
  return TakeName();
}

}  // namespace flyweight
