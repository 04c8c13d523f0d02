#include "tree/attributes.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace flyweight {
namespace {

timespec ToTimespec(const FileTime& time) {
  timespec converted{};
  converted.tv_sec = static_cast<time_t>(time.seconds);
  converted.tv_nsec = static_cast<long>(time.nanoseconds);
  return converted;
}

Status ApplyMode(int descriptor, const std::string& path, uint16_t mode, Notices& notices) {
  if (fchmod(descriptor, mode) != 0) {
    if (!IsUnsupported(errno)) return SystemError(Cannot("set the permissions of", path), errno);
    notices.TellOnce(Quirk::kMode, "the permissions of", path, errno);
    return Status::Ok();
  }
  constexpr unsigned kSpecialBits = 07000;
  struct stat status;
  if ((mode & kSpecialBits) == 0 || fstat(descriptor, &status) != 0 || (status.st_mode & 07777U) == mode) {
    return Status::Ok();
  }
  // The kernel drops set-group-ID without a word where the user is not in the group.
  notices.Tell(TreeSeverity::kWarning,
               {ErrorCode::kIo, 0, "the system does not grant '" + path + "' its set-user-ID or set-group-ID bits"});
  return Status::Ok();
}

Status TimesResult(int result, const std::string& path, Notices& notices) {
  if (result == 0) return Status::Ok();
  if (!IsUnsupported(errno)) return SystemError(Cannot("set the times of", path), errno);
  notices.TellOnce(Quirk::kTimes, "the times of", path, errno);
  return Status::Ok();
}

}  // namespace

bool IsUnsupported(int error_number) {
  return error_number == EPERM || error_number == EOPNOTSUPP || error_number == ENOSYS;
}

Status ApplyAttributes(int descriptor, const std::string& path, const EntryStat& stat, Notices& notices) {
  FLYWEIGHT_TRY(ApplyMode(descriptor, path, stat.mode, notices));
  timespec times[2] = {ToTimespec(stat.accessed), ToTimespec(stat.modified)};
  return TimesResult(futimens(descriptor, times), path, notices);
}

Status ApplyLinkTimes(int directory, const std::string& name, const std::string& path, const EntryStat& stat,
                      Notices& notices) {
  timespec times[2] = {ToTimespec(stat.accessed), ToTimespec(stat.modified)};
  return TimesResult(utimensat(directory, name.c_str(), times, AT_SYMLINK_NOFOLLOW), path, notices);
}

Status SyncDescriptor(int descriptor, const std::string& path) {
  int result;
  do {
    result = fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  if (result == 0 || errno == EINVAL || errno == ENOSYS) return Status::Ok();
  return SystemError("'" + path + "' could not be made durable", errno);
}

Status SyncFileSystem(int descriptor, const std::string& path) {
  if (syncfs(descriptor) == 0) return Status::Ok();
  return SystemError("'" + path + "' could not be made durable", errno);
}

}  // namespace flyweight
