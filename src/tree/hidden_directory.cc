#include "tree/hidden_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "tree/attributes.h"
#include "tree/directory_stack.h"

namespace flyweight {
namespace {

constexpr mode_t kOwnerOnly = 0700;

enum class LockState { kTaken, kBusy, kUnsupported };

LockState Lock(int descriptor) {
  int result;
  do {
    result = flock(descriptor, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return LockState::kTaken;
  return errno == EWOULDBLOCK ? LockState::kBusy : LockState::kUnsupported;
}

// False with errno set.
bool MakeOwnerWritable(int directory, const std::string& name) {
  OwnedDescriptor handle = OpenAt(directory, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
  struct stat status;
  if (!handle.valid() || fstat(handle.get(), &status) != 0) return false;
  bool is_writable = (status.st_mode & kOwnerOnly) == kOwnerOnly;
  if (is_writable || status.st_uid != geteuid()) return true;
  // By the handle, so that no link can take the name's place; path handles know no fchmod().
  std::string by_handle = "/proc/self/fd/" + std::to_string(handle.get());
  return chmod(by_handle.c_str(), kOwnerOnly) == 0;
}

bool IsUnderName(int holder, const std::string& name, int descriptor) {
  struct stat by_name, by_descriptor;
  return StatName(holder, name, by_name) && fstat(descriptor, &by_descriptor) == 0 &&
         IdentityOf(by_name) == IdentityOf(by_descriptor);
}

Error Taken(const std::string& name, const std::string& target_path, const std::string& why) {
  return {ErrorCode::kExists, 0, "cannot restore '" + target_path + "': the hidden directory '" + name + "' " + why};
}

// One attempt; an invalid descriptor where another run's end came between and it should be tried again.
Result<OwnedDescriptor> TryMake(int holder, const std::string& name, const std::string& target_path, int* mkdir_errno) {
  bool is_fresh = mkdirat(holder, name.c_str(), kOwnerOnly) == 0;
  if (!is_fresh && errno != EEXIST) {
    *mkdir_errno = errno;
    return SystemError(Cannot("create", target_path), errno);
  }
  struct stat status;
  if (!StatName(holder, name, status)) return OwnedDescriptor();
  if (!S_ISDIR(status.st_mode) || (!is_fresh && status.st_uid != geteuid())) {
    return Taken(name, target_path, "that it would grow in is in the way; move it elsewhere");
  }
  OwnedDescriptor root = OpenAt(holder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  // What a killed run left may deny reading already, as may what a strange umask made.
  if (!root.valid() && errno == EACCES) root = OpenOwnDirectory(holder, name);
  if (!root.valid() && (errno == ENOENT || errno == ENOTDIR)) return OwnedDescriptor();
  if (!root.valid()) return SystemError(Cannot("create", target_path), errno);
  LockState lock = Lock(root.get());
  if (lock == LockState::kBusy) return Taken(name, target_path, "is in use: another run restores it now");
  if (!IsUnderName(holder, name, root.get())) return OwnedDescriptor();
  if (fchmod(root.get(), kOwnerOnly) != 0 && !IsUnsupported(errno)) {
    return SystemError(Cannot("create", target_path), errno);
  }
  if (is_fresh) return root;
  if (lock == LockState::kUnsupported) {
    return Taken(name, target_path,
                 "is left of an interrupted run, or another run uses it now; delete it if none does");
  }
  FLYWEIGHT_TRY(RemoveContents(root.get(), target_path));
  return root;
}

}  // namespace

OwnedDescriptor OpenOwnDirectory(int directory, const std::string& name) {
  if (!MakeOwnerWritable(directory, name)) return OwnedDescriptor();
  return OpenAt(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

Status RemoveContents(int directory, const std::string& path) {
  struct Level {
    NameList names;
    std::string name;  // of the directory itself in its parent
  };
  DirectoryStack stack;
  std::vector<Level> levels;
  auto failure = [&] { return SystemError(Cannot("clear up", path), errno); };
  auto enter = [&](std::string name) {
    Level level{{}, std::move(name)};
    if (!level.names.Read(stack.descriptor())) return false;
    levels.push_back(std::move(level));
    return true;
  };
  OwnedDescriptor top = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!top.valid() || !stack.PushTop(std::move(top)) || !enter("")) return failure();
  while (true) {
    if (levels.back().names.AtEnd()) {
      std::string name = std::move(levels.back().name);
      levels.pop_back();
      if (levels.empty()) return Status::Ok();
      if (!stack.Pop()) return failure();
      if (unlinkat(stack.descriptor(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return failure();
      continue;
    }
    std::string name = levels.back().names.Take();
    if (unlinkat(stack.descriptor(), name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return failure();
    if (!MakeOwnerWritable(stack.descriptor(), name) || !stack.Push(name) || !enter(std::move(name))) return failure();
  }
}

Result<HiddenDirectory> HiddenDirectory::Make(int holder, const std::string& name, const std::string& target_path,
                                              int* mkdir_errno) {
  constexpr int kAttempts = 100;
  *mkdir_errno = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    FLYWEIGHT_ASSIGN(OwnedDescriptor root, TryMake(holder, name, target_path, mkdir_errno));
    if (!root.valid()) continue;
    HiddenDirectory made;
    made.root_ = std::move(root);
    made.name_ = name;
    return made;
  }
  return SystemError(Cannot("create", target_path), EBUSY);
}

void HiddenDirectory::Remove(int holder) {
  // Twice: whoever moves directories about while they are deleted may have won once.
  constexpr int kAttempts = 2;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (fchmod(root_.get(), kOwnerOnly) != 0 && !IsUnsupported(errno)) break;
    if (RemoveContents(root_.get(), name_).ok()) break;
  }
  if (IsUnderName(holder, name_, root_.get())) unlinkat(holder, name_.c_str(), AT_REMOVEDIR);
  root_.Reset();
}

}  // namespace flyweight
