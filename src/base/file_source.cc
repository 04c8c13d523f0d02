#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "base/file.h"
#include "base/file_io.h"

namespace flyweight {
namespace {

// Times that 64 bits of nanoseconds cannot hold (before 1677, after 2262) become the nearest that they can.
int64_t Nanoseconds(const timespec& time) {
  int64_t nanoseconds = 0;
  bool overflows = __builtin_mul_overflow(int64_t{time.tv_sec}, int64_t{1'000'000'000}, &nanoseconds) ||
                   __builtin_add_overflow(nanoseconds, int64_t{time.tv_nsec}, &nanoseconds);
  if (!overflows) return nanoseconds;
  return time.tv_sec < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

FileStamp StampOf(const struct stat& status) {
  FileStamp stamp;
  stamp.device = static_cast<uint64_t>(status.st_dev);
  stamp.inode = static_cast<uint64_t>(status.st_ino);
  stamp.size_bytes = static_cast<uint64_t>(status.st_size);
  stamp.modified_ns = Nanoseconds(status.st_mtim);
  stamp.mode = static_cast<uint32_t>(status.st_mode);
  return stamp;
}

Status RequireRegular(const struct stat& status, const std::string& path) {
  if (S_ISREG(status.st_mode)) return Status::Ok();
  if (S_ISDIR(status.st_mode))
    return Error{ErrorCode::kInvalidArgument, 0, "'" + path + "' is a directory, not a file"};
  return Error{
      ErrorCode::kInvalidArgument, 0,
      "'" + path + "' is a pipe, socket or device, not a regular file; read it through standard input instead"};
}

// Files under /proc and /sys say they are empty and are not: taking them at their word would lose their content.
Status RequireHonestSize(int descriptor, const FileStamp& stamp, const std::string& path) {
  if (stamp.size_bytes > 0) return Status::Ok();
  std::byte probe;
  ssize_t count;
  do {
    count = pread(descriptor, &probe, 1, 0);
  } while (count < 0 && errno == EINTR);
  if (count == 0) return Status::Ok();
  if (count < 0) return SystemError(Cannot("read", path), errno);
  return Error{ErrorCode::kInvalidArgument, 0,
               "'" + path + "' has content but says it is empty; read it through standard input instead"};
}

}  // namespace

Status MemorySource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  FLYWEIGHT_TRY(CheckRange(offset, target.size(), bytes_.size(), "the buffer"));
  if (!target.empty()) std::memcpy(target.data(), bytes_.data() + offset, target.size());
  return Status::Ok();
}

FileSource::FileSource(int descriptor, FileStamp stamp, std::string path)
    : descriptor_(descriptor), stamp_(stamp), path_(std::move(path)) {}

FileSource::~FileSource() { close(descriptor_); }

Result<std::unique_ptr<FileSource>> FileSource::Open(const std::string& path) {
  // Looked at before it is opened, since opening a device or a pipe can have effects; and again after, since it may
  // have been exchanged.
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return SystemError(Cannot("open", path), errno);
  FLYWEIGHT_TRY(RequireRegular(status, path));
  OwnedDescriptor descriptor = OpenAt(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!descriptor.valid()) return SystemError(Cannot("open", path), errno);
  return Adopt(descriptor.Release(), path);
}

Result<std::unique_ptr<FileSource>> FileSource::Adopt(int adopted, const std::string& path) {
  OwnedDescriptor descriptor(adopted);
  struct stat status;
  if (fstat(descriptor.get(), &status) != 0) return SystemError(Cannot("examine", path), errno);
  FLYWEIGHT_TRY(RequireRegular(status, path));
  FileStamp stamp = StampOf(status);
  FLYWEIGHT_TRY(RequireHonestSize(descriptor.get(), stamp, path));
  return std::unique_ptr<FileSource>(new FileSource(descriptor.Release(), stamp, path));
}

Status FileSource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  FLYWEIGHT_TRY(CheckRange(offset, target.size(), stamp_.size_bytes, "'" + path_ + "'"));
  Status read = ReadFileAt(descriptor_, offset, target, path_);
  if (read.ok() || read.error().code != ErrorCode::kSourceChanged) return read;
  // It ended early. Files under /sys do so always: they have the size of a page, whatever they hold.
  struct stat status;
  if (fstat(descriptor_, &status) != 0 || static_cast<uint64_t>(status.st_size) < stamp_.size_bytes) return read;
  return Error{ErrorCode::kInvalidArgument, read.error().offset,
               "'" + path_ + "' says it has " + std::to_string(stamp_.size_bytes) + " bytes but ends at byte " +
                   std::to_string(read.error().offset) +
                   ": the system makes its content up while it is read; read it through standard input instead"};
}

Status FileSource::CheckUnchanged() const {
  // By name and not by descriptor: a file that took its place is a change as well.
  struct stat status;
  if (stat(path_.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return Error{ErrorCode::kSourceChanged, 0, "'" + path_ + "' was moved or deleted while it was read"};
    }
    return SystemError(Cannot("examine", path_), errno);
  }
  FileStamp now = StampOf(status);
  if (now.device != stamp_.device || now.inode != stamp_.inode) {
    return Error{ErrorCode::kSourceChanged, 0, "'" + path_ + "' was replaced by another file while it was read"};
  }
  if (now.size_bytes != stamp_.size_bytes || now.modified_ns != stamp_.modified_ns) {
    return Error{ErrorCode::kSourceChanged, 0, "'" + path_ + "' was written to while it was read"};
  }
  return Status::Ok();
}

}  // namespace flyweight
