#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <string_view>

#include "base/file.h"
#include "base/file_io.h"
#include "base/hash.h"
#include "base/temporary_files.h"

namespace flyweight {
namespace {

Error TargetExists(const std::string& path) {
  return {ErrorCode::kExists, 0, "'" + path + "' exists already; ask for overwriting to replace it"};
}

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

// Refuses a target that must not or cannot be replaced by a regular file.
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

std::string TemporaryName() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) {
    // Only uniqueness is needed, and O_EXCL guards it.
    static std::atomic<uint64_t> counter{0};
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seeds[] = {static_cast<uint64_t>(getpid()), static_cast<uint64_t>(now.tv_nsec), counter.fetch_add(1)};
    random = Xxh3(std::as_bytes(std::span(seeds)));
  }
  return ".flyweight-" + ToHex(std::as_bytes(std::span(&random, 1))) + ".tmp";
}

timespec ToTimespec(int64_t nanoseconds) {
  constexpr int64_t kSecond = 1'000'000'000;
  int64_t seconds = nanoseconds / kSecond - (nanoseconds % kSecond < 0);
  timespec time{};
  time.tv_sec = static_cast<time_t>(seconds);
  time.tv_nsec = static_cast<long>(nanoseconds - seconds * kSecond);
  return time;
}

int SyncDescriptor(int descriptor) {
  int result;
  do {
    result = fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  return result;
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

// Puts `from` under the name `to` unless that exists, without a moment in which another file could be lost. False with
// errno where it fails.
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

Status SyncDirectory(int directory, const std::string& path) {
  OwnedDescriptor readable = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!readable.valid()) return Status::Ok();  // a directory that may be written but not read cannot be synced
  if (SyncDescriptor(readable.get()) == 0 || errno == EINVAL || errno == ENOSYS) return Status::Ok();
  return SystemError("'" + path + "' is complete, but its directory could not be made durable", errno);
}

}  // namespace

Result<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path, bool overwrite) {
  FLYWEIGHT_ASSIGN(SplitPath split, Split(path));
  std::unique_ptr<AtomicFile> file(new AtomicFile());
  file->path_ = path;
  file->name_ = split.name;
  file->overwrite_ = overwrite;
  file->signal_slot_ = kNoTemporarySlot;
  file->directory_ = OpenAt(AT_FDCWD, split.directory.c_str(), O_PATH | O_DIRECTORY).Release();
  if (file->directory_ < 0) return SystemError(Cannot("write", path), errno);
  FLYWEIGHT_TRY(CheckTarget(file->directory_, file->name_, path, overwrite));
  FLYWEIGHT_TRY(file->OpenTemporary());
  return file;
}

Status AtomicFile::OpenTemporary() {
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string name = TemporaryName();
    size_t removals_before = TemporaryRemovalCount();
    signal_slot_ = RememberTemporary(directory_, name);  // before it exists, so that no signal falls between
    OwnedDescriptor descriptor = OpenAt(directory_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (descriptor.valid()) {
      temporary_name_ = name;
      descriptor_ = descriptor.Release();
      if (TemporaryRemovalCount() == removals_before) return Status::Ok();
      return SystemError(Cannot("write", path_), EINTR);
    }
    int open_errno = errno;
    ForgetTemporary(std::exchange(signal_slot_, kNoTemporarySlot));
    if (open_errno != EEXIST) return SystemError(Cannot("write", path_), open_errno);
  }
  return SystemError(Cannot("write", path_), EEXIST);
}

AtomicFile::~AtomicFile() {
  if (!temporary_name_.empty()) unlinkat(directory_, temporary_name_.c_str(), 0);
  ForgetTemporary(signal_slot_);
  if (descriptor_ >= 0) close(descriptor_);
  if (directory_ >= 0) close(directory_);
}

Status AtomicFile::Append(ByteSpan bytes) {
  FLYWEIGHT_TRY(WriteAt(appended_bytes_, bytes));
  appended_bytes_ += bytes.size();
  return Status::Ok();
}

Status AtomicFile::WriteAt(uint64_t offset, ByteSpan bytes) { return WriteFileAt(descriptor_, offset, bytes, path_); }

Status AtomicFile::Reserve(uint64_t size_bytes) {
  if (size_bytes == 0) return Status::Ok();
  if (size_bytes > static_cast<uint64_t>(INT64_MAX)) return SystemError(Cannot("write", path_), EFBIG);
  int result;
  do {
    result = fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    reserved_ = true;
    return Status::Ok();
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return Status::Ok();
  std::string what = "cannot reserve " + std::to_string(size_bytes) + " bytes for '" + path_ + "'";
  return SystemError(what, errno);
}

Status AtomicFile::Sync() {
  if (SyncDescriptor(descriptor_) == 0) return Status::Ok();
  return SystemError(Cannot("write", path_), errno);
}

Result<std::unique_ptr<ByteSource>> AtomicFile::ReadBack() const {
  struct stat status;
  if (fstat(descriptor_, &status) != 0) return SystemError(Cannot("examine", path_), errno);
  return std::unique_ptr<ByteSource>(new DescriptorSource(descriptor_, static_cast<uint64_t>(status.st_size), path_));
}

Status AtomicFile::ApplyAttributes(uint32_t mode, int64_t modified_ns) {
  if (reserved_) {
    // Setting the size it has gives back what was reserved behind it.
    struct stat status;
    if (fstat(descriptor_, &status) != 0 || ftruncate(descriptor_, status.st_size) != 0) {
      return SystemError(Cannot("write", path_), errno);
    }
  }
  if (fchmod(descriptor_, static_cast<mode_t>(mode & 0777U)) != 0 && !AttributeIsUnsupported(errno)) {
    return SystemError(Cannot("set the permissions of", path_), errno);
  }
  timespec times[2] = {{0, UTIME_OMIT}, ToTimespec(modified_ns)};
  if (futimens(descriptor_, times) != 0 && !AttributeIsUnsupported(errno)) {
    return SystemError(Cannot("set the time of", path_), errno);
  }
  return Status::Ok();
}

Status AtomicFile::TakeName() {
  if (overwrite_) FLYWEIGHT_TRY(CheckTarget(directory_, name_, path_, overwrite_));
  bool renamed = overwrite_ ? renameat(directory_, temporary_name_.c_str(), directory_, name_.c_str()) == 0
                            : RenameNoReplace(directory_, temporary_name_.c_str(), name_.c_str());
  if (renamed) {
    temporary_name_.clear();
    ForgetTemporary(std::exchange(signal_slot_, kNoTemporarySlot));
    return Status::Ok();
  }
  if (errno == EEXIST) return TargetExists(path_);
  return SystemError(Cannot("write", path_), errno);
}

Status AtomicFile::Commit(uint32_t mode, int64_t modified_ns) {
  if (temporary_name_.empty()) {
    return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was put under its name twice"};
  }
  FLYWEIGHT_TRY(ApplyAttributes(mode, modified_ns));
  FLYWEIGHT_TRY(Sync());
  FLYWEIGHT_TRY(TakeName());
  return SyncDirectory(directory_, path_);
}

}  // namespace flyweight
