#include "base/file_io.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>

namespace flyweight {
namespace {

// Linux moves at most 2^31 - 4096 bytes a call, other systems refuse what does not fit an int.
constexpr size_t kTransferMaxBytes = size_t{1} << 30;

constexpr uint64_t kOffsetMax = static_cast<uint64_t>(std::numeric_limits<off_t>::max());

// After a failed transfer: true where it should be tried again. Waits first where a non-blocking stream is not ready
// for `events`.
bool ShouldRetry(int descriptor, short events) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
  pollfd waited{descriptor, events, 0};
  return poll(&waited, 1, -1) >= 0 || errno == EINTR;
}

}  // namespace

Error SystemError(std::string_view what, int error_number, uint64_t offset) {
  ErrorCode code = error_number == ENOMEM ? ErrorCode::kOutOfMemory : ErrorCode::kIo;
  return {code, offset, std::string(what) + ": " + std::generic_category().message(error_number)};
}

std::string Cannot(std::string_view verb, std::string_view path) {
  std::string text = "cannot ";
  text.append(verb).append(" '").append(path).append("'");
  return text;
}

OwnedDescriptor& OwnedDescriptor::operator=(OwnedDescriptor&& other) noexcept {
  if (this != &other) {
    Reset();
    descriptor_ = other.Release();
  }
  return *this;
}

void OwnedDescriptor::Reset() {
  if (descriptor_ < 0) return;
  int saved_errno = errno;  // the caller may be about to report why it gives up
  close(std::exchange(descriptor_, -1));
  errno = saved_errno;
}

OwnedDescriptor OpenAt(int directory, const char* name, int flags, unsigned mode) {
  int descriptor;
  do {
    descriptor = openat(directory, name, flags | O_CLOEXEC, static_cast<mode_t>(mode));
  } while (descriptor < 0 && errno == EINTR);
  return OwnedDescriptor(descriptor);
}

Status CheckRange(uint64_t offset, uint64_t count, uint64_t size_bytes, const std::string& name) {
  if (offset <= size_bytes && count <= size_bytes - offset) return Status::Ok();
  return Error{ErrorCode::kTruncated, offset,
               name + " ends at byte " + std::to_string(size_bytes) + ", before the " + std::to_string(count) +
                   " bytes wanted at " + std::to_string(offset)};
}

FileIdentity IdentityOf(const struct stat& status) {
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino)};
}

Status ReadFileAt(int descriptor, uint64_t offset, MutableByteSpan target, const std::string& name) {
  while (!target.empty()) {
    size_t wanted = std::min(target.size(), kTransferMaxBytes);
    ssize_t count = pread(descriptor, target.data(), wanted, static_cast<off_t>(offset));
    if (count < 0) {
      if (ShouldRetry(descriptor, POLLIN)) continue;
      return SystemError(Cannot("read", name), errno, offset);
    }
    if (count == 0) {
      return Error{
          ErrorCode::kSourceChanged, offset,
          "'" + name + "' became shorter while it was read: it now ends at or before byte " + std::to_string(offset)};
    }
    target = target.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return Status::Ok();
}

Status WriteFileAt(int descriptor, uint64_t offset, ByteSpan bytes, const std::string& name) {
  if (offset > kOffsetMax || bytes.size() > kOffsetMax - offset)
    return SystemError(Cannot("write", name), EFBIG, offset);
  while (!bytes.empty()) {
    size_t wanted = std::min(bytes.size(), kTransferMaxBytes);
    ssize_t count = pwrite(descriptor, bytes.data(), wanted, static_cast<off_t>(offset));
    if (count < 0) {
      if (ShouldRetry(descriptor, POLLOUT)) continue;
      return SystemError(Cannot("write", name), errno, offset);
    }
    if (count == 0) return SystemError(Cannot("write", name), EIO, offset);
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return Status::Ok();
}

Status WriteStream(int descriptor, uint64_t offset, ByteSpan bytes, const std::string& name) {
  while (!bytes.empty()) {
    size_t wanted = std::min(bytes.size(), kTransferMaxBytes);
    ssize_t count = write(descriptor, bytes.data(), wanted);
    if (count < 0) {
      if (ShouldRetry(descriptor, POLLOUT)) continue;
      return SystemError(Cannot("write", name), errno, offset);
    }
    if (count == 0) return SystemError(Cannot("write", name), EIO, offset);
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
  return Status::Ok();
}

Result<size_t> ReadStream(int descriptor, uint64_t offset, MutableByteSpan target, const std::string& name) {
  while (true) {
    ssize_t count = read(descriptor, target.data(), std::min(target.size(), kTransferMaxBytes));
    if (count >= 0) return static_cast<size_t>(count);
    if (!ShouldRetry(descriptor, POLLIN)) return SystemError(Cannot("read", name), errno, offset);
  }
}

Status DescriptorSource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  FLYWEIGHT_TRY(CheckRange(offset, target.size(), size_bytes_, "'" + name_ + "'"));
  return ReadFileAt(descriptor_, offset, target, name_);
}

}  // namespace flyweight
