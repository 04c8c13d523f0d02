#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "tree/attributes.h"
#include "tree/restore.h"

namespace flyweight {
namespace {

constexpr int kNewFile = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
constexpr mode_t kOwnerReadsAndWrites = 0600;

// Files that are flushed one by one; the others wait for one flush of the file system, which is quicker for many.
constexpr uint64_t kSingleSyncCount = 16;
constexpr uint64_t kSingleSyncBytes = 8 << 20;

Error Refused(const std::string& path, const std::string& why) {
  return {ErrorCode::kCorrupt, 0, "the entry '" + path + "' " + why};
}

Status CopyContent(int from, int to, const std::string& path) {
  struct stat status;
  if (fstat(from, &status) != 0) return SystemError(Cannot("read", path), errno);
  constexpr uint64_t kBufferBytes = 1 << 20;
  std::vector<std::byte> buffer(kBufferBytes);
  auto size_bytes = static_cast<uint64_t>(status.st_size);
  for (uint64_t at = 0; at < size_bytes;) {
    MutableByteSpan part = std::span(buffer).first(std::min(kBufferBytes, size_bytes - at));
    FLYWEIGHT_TRY(ReadFileAt(from, at, part, path));
    FLYWEIGHT_TRY(WriteFileAt(to, at, part, path));
    at += part.size();
  }
  return Status::Ok();
}

}  // namespace

// Checks the entry and opens the directory that its name is to be made in.
Result<HeldName> TreeRestorer::HoldNew(const TreeEntry& entry, EntryKind kind) {
  FLYWEIGHT_TRY(CheckEntryPath(entry.path));
  Status fits = CheckEntryStat(entry.stat);
  if (!fits.ok()) return WithContext(fits.error(), "'" + entry.path + "'");
  if (entry.path.empty()) return Refused(entry.path, "is the root of the tree, which is a directory");
  if (entry.stat.kind != kind) return Refused(entry.path, "is added as what it is not");
  if (entry.path == hidden_.name()) return Refused(entry.path, "has the name under which trees grow");
  std::string_view parent = ParentPath(entry.path);
  HeldName held{nullptr, std::string(BaseName(entry.path))};
  held.holder = cache_.OpenIn(hidden_.descriptor(), parent);
  if (held.holder != nullptr) return held;
  if (errno == ENOENT) return Refused(entry.path, "stands in a directory that was not before it");
  if (errno == ENOTDIR || errno == ELOOP) return Refused(entry.path, "stands below something that is no directory");
  return CannotAdd(entry, errno);
}

Error TreeRestorer::CannotAdd(const TreeEntry& entry, int error_number) const {
  if (error_number == EEXIST)
    return Refused(entry.path, "is there twice, or differs only in what the file system ignores");
  return SystemError(Cannot("restore", target_path_ + "/" + entry.path), error_number);
}

Status TreeRestorer::AddDirectory(const TreeEntry& entry) {
  if (entry.path.empty()) {
    FLYWEIGHT_TRY(CheckEntryStat(entry.stat));
    if (entry.stat.kind != EntryKind::kDirectory) return Refused(entry.path, "is the root, which is a directory");
    std::lock_guard lock(mutex_);
    if (std::exchange(root_added_, true)) return Refused(entry.path, "is the root, and is there twice");
    root_stat_ = entry.stat;
    return Status::Ok();
  }
  FLYWEIGHT_ASSIGN(HeldName held, HoldNew(entry, EntryKind::kDirectory));
  if (mkdirat(held.directory(), held.name.c_str(), 0700) != 0) return CannotAdd(entry, errno);
  struct stat status;
  if (!StatName(held.directory(), held.name, status)) return CannotAdd(entry, errno);
  // A strange umask may have taken the owner's own bits.
  bool is_usable = (status.st_mode & 0700) == 0700;
  if (!is_usable && !OpenOwnDirectory(held.directory(), held.name).valid()) return CannotAdd(entry, errno);
  std::lock_guard lock(mutex_);
  directories_.push_back({entry.path, entry.stat});
  return Status::Ok();
}

Status TreeRestorer::AddSymlink(const TreeEntry& entry) {
  Status fits = CheckLinkTarget(entry.link_target);
  if (!fits.ok()) return WithContext(fits.error(), "'" + entry.path + "'");
  FLYWEIGHT_ASSIGN(HeldName held, HoldNew(entry, EntryKind::kSymlink));
  if (symlinkat(entry.link_target.c_str(), held.directory(), held.name.c_str()) != 0) {
    if (!IsUnsupported(errno)) return CannotAdd(entry, errno);
    // The content of files matters more than a link that this file system cannot hold.
    notices_.Tell(TreeSeverity::kError, CannotAdd(entry, errno));
    return Status::Ok();
  }
  return ApplyLinkTimes(held.directory(), held.name, target_path_ + "/" + entry.path, entry.stat, notices_);
}

Status TreeRestorer::AddHardLink(const TreeEntry& entry, const std::string& earlier_path) {
  FLYWEIGHT_TRY(CheckEntryPath(earlier_path));
  FLYWEIGHT_ASSIGN(HeldName held, HoldNew(entry, EntryKind::kHardLink));
  return LinkOrCopy(entry, held, earlier_path);
}

Status TreeRestorer::LinkOrCopy(const TreeEntry& entry, const HeldName& held, const std::string& earlier_path) {
  std::string_view parent = ParentPath(earlier_path);
  std::string name(BaseName(earlier_path));
  OwnedDescriptor earlier = OpenBeneath(hidden_.descriptor(), parent, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  struct stat status;
  bool is_file = earlier.valid() && !name.empty() && StatName(earlier.get(), name, status) && S_ISREG(status.st_mode);
  if (!is_file) return Refused(entry.path, "is a hard link to '" + earlier_path + "', which is no file before it");
  if (linkat(earlier.get(), name.c_str(), held.directory(), held.name.c_str(), 0) == 0) return Status::Ok();
  int link_errno = errno;
  if (!IsUnsupported(link_errno) && link_errno != EMLINK) return CannotAdd(entry, link_errno);
  // The file may still be written: its content is copied at the end, the name is taken now.
  OwnedDescriptor copy = OpenAt(held.directory(), held.name.c_str(), kNewFile, kOwnerReadsAndWrites);
  if (!copy.valid()) return CannotAdd(entry, errno);
  notices_.TellOnce(Quirk::kHardLinks, "hard links; there will be a copy at", target_path_ + "/" + entry.path,
                    link_errno);
  ++unsynced_count_;
  std::lock_guard lock(mutex_);
  pending_copies_.push_back({earlier_path, entry.path});
  return Status::Ok();
}

Status TreeRestorer::CopyPending() {
  for (const PendingCopy& pending : pending_copies_) {
    std::string shown = target_path_ + "/" + pending.to;
    OwnedDescriptor from = OpenBeneath(hidden_.descriptor(), pending.from, O_RDONLY | O_NOFOLLOW | O_NOATIME);
    if (!from.valid()) return SystemError(Cannot("read", target_path_ + "/" + pending.from), errno);
    OwnedDescriptor to = OpenBeneath(hidden_.descriptor(), pending.to, O_WRONLY | O_NOFOLLOW);
    struct stat status;
    if (!to.valid() || fstat(from.get(), &status) != 0) return SystemError(Cannot("restore", shown), errno);
    FLYWEIGHT_TRY(CopyContent(from.get(), to.get(), shown));
    FLYWEIGHT_TRY(ApplyAttributes(to.get(), shown, EntryStatOf(status), notices_));
  }
  pending_copies_.clear();
  return Status::Ok();
}

Result<std::unique_ptr<TreeFile>> TreeRestorer::OpenFile(const TreeEntry& entry) {
  FLYWEIGHT_ASSIGN(HeldName held, HoldNew(entry, EntryKind::kFile));
  OwnedDescriptor descriptor = OpenAt(held.directory(), held.name.c_str(), kNewFile, kOwnerReadsAndWrites);
  if (!descriptor.valid()) return CannotAdd(entry, errno);
  ++unfinished_count_;
  return std::unique_ptr<TreeFile>(new TreeFile(*this, std::move(descriptor), entry));
}

TreeFile::TreeFile(TreeRestorer& restorer, OwnedDescriptor descriptor, const TreeEntry& entry)
    : restorer_(restorer),
      descriptor_(std::move(descriptor)),
      path_(restorer.target_path_ + "/" + entry.path),
      entry_path_(entry.path),
      stat_(entry.stat),
      size_bytes_(entry.size_bytes) {}

Status TreeFile::WriteAt(uint64_t offset, ByteSpan bytes) {
  return WriteFileAt(descriptor_.get(), offset, bytes, path_);
}

Status TreeFile::Reserve(uint64_t size_bytes) {
  if (size_bytes == 0) return Status::Ok();
  if (size_bytes > static_cast<uint64_t>(INT64_MAX)) return SystemError(Cannot("write", path_), EFBIG);
  int result;
  do {
    result = fallocate(descriptor_.get(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_bytes));
  } while (result != 0 && errno == EINTR);
  reserved_ = reserved_ || result == 0;
  if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return Status::Ok();
  return SystemError("cannot reserve " + std::to_string(size_bytes) + " bytes for '" + path_ + "'", errno);
}

std::unique_ptr<ByteSource> TreeFile::ReadBack() const {
  return std::make_unique<DescriptorSource>(descriptor_.get(), size_bytes_, path_);
}

Status TreeFile::Close() {
  if (!descriptor_.valid()) return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was closed twice"};
  struct stat status;
  if (fstat(descriptor_.get(), &status) != 0) return SystemError(Cannot("write", path_), errno);
  if (static_cast<uint64_t>(status.st_size) != size_bytes_) {
    return Error{
        ErrorCode::kInternal, 0,
        "'" + path_ + "' got " + std::to_string(status.st_size) + " of its " + std::to_string(size_bytes_) + " bytes"};
  }
  return restorer_.CloseFile(*this);
}

Status TreeFile::Discard() {
  if (!descriptor_.valid()) return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was closed already"};
  return restorer_.DiscardFile(*this);
}

Status TreeRestorer::DiscardFile(TreeFile& file) {
  std::string_view parent = ParentPath(file.entry_path_);
  std::string name(BaseName(file.entry_path_));
  OwnedDescriptor holder = OpenBeneath(hidden_.descriptor(), parent, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!holder.valid() || unlinkat(holder.get(), name.c_str(), 0) != 0) {
    return SystemError(Cannot("delete", file.path_), errno);
  }
  file.descriptor_.Reset();
  --unfinished_count_;
  return Status::Ok();
}

Status TreeRestorer::CloseFile(TreeFile& file) {
  int descriptor = file.descriptor_.get();
  // Setting the size it has gives back what was reserved behind it.
  if (file.reserved_ && ftruncate(descriptor, static_cast<off_t>(file.size_bytes_)) != 0) {
    return SystemError(Cannot("write", file.path_), errno);
  }
  FLYWEIGHT_TRY(ApplyAttributes(descriptor, file.path_, file.stat_, notices_));
  if (file.size_bytes_ >= kSingleSyncBytes || synced_count_.fetch_add(1) < kSingleSyncCount) {
    FLYWEIGHT_TRY(SyncDescriptor(descriptor, file.path_));
  } else {
    ++unsynced_count_;
  }
  file.descriptor_.Reset();
  --unfinished_count_;
  return Status::Ok();
}

}  // namespace flyweight
