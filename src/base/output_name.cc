#include "base/output_name.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>
#include <string_view>

namespace flyweight {
namespace {

struct SplitPath {
  std::string directory;
  std::string name;
};

Result<SplitPath> Split(const std::string& path) {
  size_t slash = path.rfind('/');
  SplitPath split;
  split.name = slash == std::string::npos ? path : path.substr(slash + 1);
  split.directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (path.find('\0') != std::string::npos) {
    return Error{ErrorCode::kInvalidArgument, 0, "the name of the output file contains a NUL byte"};
  }
  if (split.name.empty() || split.name == "." || split.name == "..") {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + path + "' names a directory, not a file to write"};
  }
  return split;
}

// Whether a link is /dev/stdout, /dev/fd/N or the like: replacing it would break it for everybody.
bool LeadsToADescriptor(int directory, const std::string& name) {
  struct statfs system;
  if (fstatfs(directory, &system) == 0 && system.f_type == PROC_SUPER_MAGIC) return true;
  char text[PATH_MAX];
  ssize_t size = readlinkat(directory, name.c_str(), text, sizeof text);
  std::string_view link(text, size > 0 ? static_cast<size_t>(size) : 0);
  return link.starts_with("/proc/") || link.starts_with("/dev/fd/");
}

timespec ToTimespec(int64_t nanoseconds) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = nanoseconds / kSecond - (nanoseconds % kSecond < 0);
  timespec time{};
  time.tv_sec = static_cast<time_t>(seconds);
  time.tv_nsec = static_cast<long>(nanoseconds - seconds * kSecond);
  return time;
}

// File systems without owners or times (FAT, some network mounts) refuse these calls; the content matters more.
bool AttributeIsUnsupported(int error_number) {
  return error_number == EPERM || error_number == EOPNOTSUPP || error_number == ENOSYS;
}

// The file system knows the call but not the flag, or the kernel not the call.
bool CallIsUnsupported(int error_number) {
  return error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP || error_number == EPERM ||
         error_number == EMLINK;
}

}  // namespace

Error TargetExists(const std::string& path) {
  return {ErrorCode::kExists, 0, "'" + path + "' exists already; ask for overwriting to replace it"};
}

Result<OutputPlace> OpenOutputPlace(const std::string& path) {
  FLYWEIGHT_ASSIGN(SplitPath split, Split(path));
  OutputPlace place;
  place.name = std::move(split.name);
  place.directory = OpenAt(AT_FDCWD, split.directory.c_str(), O_PATH | O_DIRECTORY);
  if (!place.directory.valid()) return SystemError(Cannot("write", path), errno);
  return place;
}

Status CheckTarget(int directory, const std::string& name, const std::string& path, bool overwrite) {
  struct stat status;
  if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT ? Status::Ok() : SystemError(Cannot("write", path), errno);
  }
  bool dangling = false;
  if (S_ISLNK(status.st_mode)) {
    // /dev/stdout and the like are links too: what they lead to decides, though only the link would be replaced.
    dangling = fstatat(directory, name.c_str(), &status, 0) != 0;
    if (LeadsToADescriptor(directory, name)) {
      return Error{ErrorCode::kInvalidArgument, 0,
                   "'" + path + "' stands for an open file and cannot be replaced; write to standard output instead"};
    }
  }
  if (!dangling && S_ISDIR(status.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + path + "' is a directory, not a file to write"};
  }
  if (!dangling && !S_ISREG(status.st_mode)) {
    return Error{
        ErrorCode::kInvalidArgument, 0,
        "'" + path + "' is a pipe, socket or device, which cannot be replaced; write to standard output instead"};
  }
  return overwrite ? Status::Ok() : TargetExists(path);
}

bool RenameNoReplace(int directory, const char* from, const char* to) {
  if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0) return true;
  if (!CallIsUnsupported(errno)) return false;
  if (linkat(directory, from, directory, to, 0) == 0) {
    unlinkat(directory, from, 0);
    return true;
  }
  if (!CallIsUnsupported(errno)) return false;
  // Neither is there: the name is taken by an empty file of our own, which the rename then replaces.
  OwnedDescriptor placeholder = OpenAt(directory, to, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0600);
  if (!placeholder.valid()) return false;
  if (renameat(directory, from, directory, to) == 0) return true;
  int rename_errno = errno;
  unlinkat(directory, to, 0);
  errno = rename_errno;
  return false;
}

bool SyncDescriptor(int descriptor) {
  int result;
  do {
    result = fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

Status SyncDirectory(int directory, const std::string& path) {
  OwnedDescriptor readable = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!readable.valid()) return Status::Ok();  // a directory that may be written but not read cannot be synced
  if (SyncDescriptor(readable.get()) || errno == EINVAL || errno == ENOSYS) return Status::Ok();
  return SystemError("'" + path + "' is complete, but its directory could not be made durable", errno);
}

Status SetAttributes(int descriptor, const std::string& path, uint32_t mode, int64_t modified_ns) {
  if (fchmod(descriptor, static_cast<mode_t>(mode & 0777U)) != 0 && !AttributeIsUnsupported(errno)) {
    return SystemError(Cannot("set the permissions of", path), errno);
  }
  timespec times[2] = {{0, UTIME_OMIT}, ToTimespec(modified_ns)};
  if (futimens(descriptor, times) != 0 && !AttributeIsUnsupported(errno)) {
    return SystemError(Cannot("set the time of", path), errno);
  }
  return Status::Ok();
}

}  // namespace flyweight
