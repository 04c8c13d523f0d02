#include "tree/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

namespace flyweight {
namespace {

// The kernel takes paths below PATH_MAX; longer ones are opened piece by piece, at the borders of components.
constexpr size_t kPieceMaxBytes = 4000;

constexpr int kStepFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW;

OwnedDescriptor OpenPiece(int directory, std::string_view path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_NOFOLLOW | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  std::string text(path);
  long result;
  do {
    result = syscall(SYS_openat2, directory, text.c_str(), &how, sizeof how);
  } while (result < 0 && errno == EINTR);
  // EPERM is how some sandboxes refuse a call they do not know, EAGAIN a race the kernel could not judge.
  bool unsure = result < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN);
  return unsure ? OpenBeneathBySteps(directory, path, flags, mode) : OwnedDescriptor(static_cast<int>(result));
}

// Length of the longest common beginning that ends where a component does in both.
size_t CommonComponents(std::string_view a, std::string_view b) {
  auto common = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  auto ends_at = [&](std::string_view path) { return common == path.size() || path[common] == '/'; };
  if (ends_at(a) && ends_at(b)) return common;
  size_t slash = a.substr(0, common).rfind('/');
  return slash == std::string_view::npos ? 0 : slash;
}

FileTime FileTimeOf(const timespec& time) { return {int64_t{time.tv_sec}, static_cast<uint32_t>(time.tv_nsec)}; }

}  // namespace

OwnedDescriptor OpenBeneathBySteps(int directory, std::string_view path, int flags, unsigned mode) {
  if (path.empty()) return OpenAt(directory, ".", flags, mode);
  OwnedDescriptor current;
  while (true) {
    int from = current.valid() ? current.get() : directory;
    size_t slash = path.find('/');
    std::string name(path.substr(0, slash));
    if (slash == std::string_view::npos) return OpenAt(from, name.c_str(), flags | O_NOFOLLOW, mode);
    OwnedDescriptor next = OpenAt(from, name.c_str(), kStepFlags);
    if (!next.valid()) return next;
    current = std::move(next);
    path.remove_prefix(slash + 1);
  }
}

OwnedDescriptor OpenBeneath(int directory, std::string_view path, int flags, unsigned mode) {
  if (path.empty()) return OpenAt(directory, ".", flags, mode);
  OwnedDescriptor current;
  while (path.size() > kPieceMaxBytes) {
    size_t slash = path.rfind('/', kPieceMaxBytes);
    if (slash == std::string_view::npos || slash == 0) {
      errno = ENAMETOOLONG;
      return OwnedDescriptor();
    }
    OwnedDescriptor next = OpenPiece(current.valid() ? current.get() : directory, path.substr(0, slash), kStepFlags, 0);
    if (!next.valid()) return next;
    current = std::move(next);
    path.remove_prefix(slash + 1);
  }
  return OpenPiece(current.valid() ? current.get() : directory, path, flags, mode);
}

std::shared_ptr<OwnedDescriptor> HolderCache::Open(std::string_view path, const OpenStart& open_start) {
  std::lock_guard lock(mutex_);
  size_t common = CommonComponents(path_, path);
  while (!points_.empty() && points_.back().path_bytes > common) points_.pop_back();
  path_ = path;
  if (points_.empty()) {
    size_t path_bytes = 0;
    OwnedDescriptor start = open_start(path_bytes);
    if (!start.valid()) return nullptr;
    points_.push_back({path_bytes, std::make_shared<OwnedDescriptor>(std::move(start))});
  }
  while (points_.back().path_bytes < path_.size()) {
    if (!Step()) return nullptr;
  }
  return points_.back().holder;
}

std::shared_ptr<OwnedDescriptor> HolderCache::OpenIn(int root, std::string_view path) {
  return Open(path, [root](size_t&) { return OpenAt(root, ".", O_PATH | O_DIRECTORY); });
}

// Opens the next piece of the path.
bool HolderCache::Step() {
  size_t from = points_.back().path_bytes;
  std::string_view rest = std::string_view(path_).substr(from == 0 ? 0 : from + 1);
  if (rest.size() > kPieceMaxBytes) rest = rest.substr(0, rest.rfind('/', kPieceMaxBytes));
  OwnedDescriptor next = OpenBeneath(points_.back().holder->get(), rest, kStepFlags);
  if (!next.valid()) {
    path_.resize(from);
    return false;
  }
  auto end = static_cast<size_t>(rest.data() + rest.size() - path_.data());
  Push({end, std::make_shared<OwnedDescriptor>(std::move(next))});
  return true;
}

// Of three points closer than a piece the one in the middle goes.
void HolderCache::Push(Point point) {
  size_t count = points_.size();
  bool is_dense = count >= 2 && point.path_bytes - points_[count - 2].path_bytes <= kPieceMaxBytes;
  if (is_dense) points_.pop_back();
  points_.push_back(std::move(point));
}

bool StatName(int directory, const std::string& name, struct stat& status) {
  return fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

bool ReadLink(int directory, const std::string& name, std::string& target) {
  char text[PATH_MAX];
  ssize_t size = readlinkat(directory, name.c_str(), text, sizeof text);
  if (size < 0) return false;
  if (static_cast<size_t>(size) == sizeof text) {
    errno = ENAMETOOLONG;
    return false;
  }
  target.assign(text, static_cast<size_t>(size));
  return true;
}

EntryStat EntryStatOf(const struct stat& status) {
  EntryStat stat;
  if (S_ISDIR(status.st_mode)) stat.kind = EntryKind::kDirectory;
  if (S_ISLNK(status.st_mode)) stat.kind = EntryKind::kSymlink;
  stat.mode = static_cast<uint16_t>(status.st_mode & 07777U);
  stat.modified = FileTimeOf(status.st_mtim);
  stat.accessed = FileTimeOf(status.st_atim);
  return stat;
}

OwnedDescriptor OpenQuietly(int directory, const std::string& name, int flags) {
  flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  OwnedDescriptor descriptor = OpenAt(directory, name.c_str(), flags | O_NOATIME);
  if (!descriptor.valid() && errno == EPERM) descriptor = OpenAt(directory, name.c_str(), flags);
  return descriptor;
}

}  // namespace flyweight
