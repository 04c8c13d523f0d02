#include "base/partial_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <set>
#include <span>

#include "base/file.h"
#include "base/hash.h"
#include "base/output_name.h"

namespace flyweight {
namespace {

constexpr int kAttempts = 100;
constexpr size_t kDerivedNameMaxBytes = 255;
constexpr std::string_view kPartialSuffix = ".flyweight-partial";

// What this process writes. Some file systems lock for the whole process, where two threads would not notice each
// other.
struct HeldFiles {
  pid_t process = getpid();
  std::mutex mutex;
  std::set<FileIdentity> files;
};

// Made anew in a forked child: its parent may have held the mutex, and what the parent writes is locked anyway.
HeldFiles& Held() {
  static std::atomic<HeldFiles*> current{nullptr};
  HeldFiles* held = current.load();
  while (held == nullptr || held->process != getpid()) {
    auto* fresh = new HeldFiles;  // never freed: destructors at exit may still need it
    if (current.compare_exchange_strong(held, fresh)) return *fresh;
    delete fresh;
  }
  return *held;
}

std::string HexOfHash(ByteSpan bytes) {
  uint64_t hash = Xxh3(bytes);
  return ToHex(std::as_bytes(std::span(&hash, 1)));
}

std::string RandomName() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) {
    // Only uniqueness is needed, and O_EXCL guards it.
    static std::atomic<uint64_t> counter{0};
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seeds[] = {static_cast<uint64_t>(getpid()), static_cast<uint64_t>(now.tv_nsec), counter.fetch_add(1)};
    return ".flyweight-" + HexOfHash(std::as_bytes(std::span(seeds))) + ".tmp";
  }
  return ".flyweight-" + ToHex(std::as_bytes(std::span(&random, 1))) + ".tmp";
}

enum class LockAnswer { kLocked, kHeldByAnother, kUnsupported };

LockAnswer Lock(int descriptor) {
  int result;
  do {
    result = flock(descriptor, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return LockAnswer::kLocked;
  return errno == EWOULDBLOCK ? LockAnswer::kHeldByAnother : LockAnswer::kUnsupported;
}

}  // namespace

std::string PartialNameOf(const std::string& name) {
  size_t size = 1 + name.size() + kPartialSuffix.size();
  if (size <= kDerivedNameMaxBytes) return "." + name + std::string(kPartialSuffix);
  return "." + HexOfHash(AsBytes(name)) + std::string(kPartialSuffix);
}

PartialFile::PartialFile(int directory, const std::string& target, const std::string& path, bool resumable)
    : directory_(directory), target_(target), path_(path), name_(PartialNameOf(target)), resumable_(resumable) {}

Result<std::unique_ptr<PartialFile>> PartialFile::Open(int directory, const std::string& target,
                                                       const std::string& path, bool resumable) {
  std::unique_ptr<PartialFile> file(new PartialFile(directory, target, path, resumable));
  FLYWEIGHT_TRY(file->Acquire());
  return file;
}

Error PartialFile::Busy() const {
  return {ErrorCode::kExists, 0, "another flyweight is writing '" + path_ + "' at this moment"};
}

Status PartialFile::Acquire() {
  // A signal may come at any moment. One that falls between opening and remembering leaves an empty partial file, which
  // the next run takes over; remembering first could remove the file of another run.
  size_t removals_before = TemporaryRemovalCount();
  std::lock_guard lock(Held().mutex);
  Attempt attempt = Attempt::kAgain;
  for (int i = 0; i < kAttempts && attempt == Attempt::kAgain; ++i) {
    FLYWEIGHT_ASSIGN(attempt, TryDerivedName());
  }
  if (attempt != Attempt::kAcquired) FLYWEIGHT_TRY(OpenRandomName());
  Held().files.insert(identity_);
  owned_ = true;
  if (!resumable_) signal_slot_ = RememberTemporary(directory_, name_);
  if (TemporaryRemovalCount() == removals_before) return Status::Ok();
  return SystemError(Cannot("write", path_), EINTR);
}

Result<PartialFile::Attempt> PartialFile::TryDerivedName() {
  struct stat status;
  if (fstatat(directory_, name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return TakeOver(status);
  if (errno != ENOENT) return SystemError(Cannot("write", path_), errno);
  OwnedDescriptor fresh = OpenAt(directory_, name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (fresh.valid()) return Own(std::move(fresh), true);
  if (errno == EEXIST) return Attempt::kAgain;
  return SystemError(Cannot("write", path_), errno);
}

Result<PartialFile::Attempt> PartialFile::TakeOver(const struct stat& status) {
  if (Held().files.contains(IdentityOf(status))) return Busy();
  if (!S_ISREG(status.st_mode) || status.st_uid != geteuid()) return Attempt::kElsewhere;
  if (status.st_nlink != 1) {
    // Where renaming is done by linking, a run may have died between taking its name and letting go of this one.
    struct stat target;
    bool finished = fstatat(directory_, target_.c_str(), &target, AT_SYMLINK_NOFOLLOW) == 0 &&
                    IdentityOf(target) == IdentityOf(status) && unlinkat(directory_, name_.c_str(), 0) == 0;
    return finished ? Attempt::kAgain : Attempt::kElsewhere;
  }
  OwnedDescriptor stale = OpenAt(directory_, name_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (stale.valid()) return Own(std::move(stale), false);
  if (errno == ENOENT) return Attempt::kAgain;
  return errno == EACCES ? MakeWritable() : Attempt::kElsewhere;
}

// The run may have died after it gave the file the mode of a read-only source.
Result<PartialFile::Attempt> PartialFile::MakeWritable() {
  OwnedDescriptor readable = OpenAt(directory_, name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!readable.valid()) return Attempt::kElsewhere;
  LockAnswer answer = Lock(readable.get());
  if (answer == LockAnswer::kHeldByAnother) return Busy();
  if (answer == LockAnswer::kUnsupported) return Attempt::kElsewhere;
  return fchmod(readable.get(), 0600) == 0 ? Attempt::kAgain : Attempt::kElsewhere;
}

Result<PartialFile::Attempt> PartialFile::Own(OwnedDescriptor descriptor, bool is_fresh) {
  LockAnswer answer = Lock(descriptor.get());
  if (answer == LockAnswer::kHeldByAnother) return Busy();
  if (answer == LockAnswer::kUnsupported && !is_fresh) return Attempt::kElsewhere;
  // Whoever held the lock until now may have renamed or removed the file; then this one is somebody's output.
  struct stat status;
  if (fstat(descriptor.get(), &status) != 0) return SystemError(Cannot("examine", path_), errno);
  identity_ = IdentityOf(status);
  if (!NameIsStillOurs()) return Attempt::kAgain;
  if (!is_fresh) {
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1) return Attempt::kElsewhere;
    fchmod(descriptor.get(), 0600);
    if (resumable_) previous_bytes_ = static_cast<uint64_t>(status.st_size);
    if (!resumable_ && ftruncate(descriptor.get(), 0) != 0) return SystemError(Cannot("write", path_), errno);
  }
  descriptor_ = std::move(descriptor);
  return Attempt::kAcquired;
}

Status PartialFile::OpenRandomName() {
  resumable_ = false;  // nobody would find it again
  int open_errno = EEXIST;
  for (int attempt = 0; attempt < kAttempts && open_errno == EEXIST; ++attempt) {
    name_ = RandomName();
    descriptor_ = OpenAt(directory_, name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    struct stat status;
    if (descriptor_.valid() && fstat(descriptor_.get(), &status) == 0) {
      identity_ = IdentityOf(status);
      return Status::Ok();
    }
    open_errno = errno;
  }
  return SystemError(Cannot("write", path_), open_errno);
}

bool PartialFile::NameIsStillOurs() const {
  struct stat status;
  return fstatat(directory_, name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && IdentityOf(status) == identity_;
}

PartialFile::~PartialFile() {
  ForgetTemporary(signal_slot_);
  if (!owned_) return;
  struct stat status;
  bool keep = keep_ || (resumable_ && fstatat(directory_, name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                        status.st_size > 0);
  // Before the lock goes, so that what is removed is never what another run just took over.
  if (pending() && !keep && NameIsStillOurs()) unlinkat(directory_, name_.c_str(), 0);
  std::lock_guard lock(Held().mutex);
  Held().files.erase(identity_);
}

void PartialFile::Keep() {
  keep_ = true;
  ForgetTemporary(std::exchange(signal_slot_, kNoTemporarySlot));
}

Status PartialFile::Unpark() {
  if (descriptor_.valid()) return Status::Ok();
  OwnedDescriptor again = OpenAt(directory_, name_.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!again.valid()) return SystemError(Cannot("write", path_), errno);
  if (Lock(again.get()) == LockAnswer::kHeldByAnother) return Busy();
  struct stat status;
  if (fstat(again.get(), &status) == 0 && IdentityOf(status) == identity_) {
    descriptor_ = std::move(again);
    return Status::Ok();
  }
  return Error{ErrorCode::kIo, 0, "the partial file of '" + path_ + "' was replaced by another while it was written"};
}

Status PartialFile::TakeName(bool overwrite) {
  if (!pending()) return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was put under its name twice"};
  if (!NameIsStillOurs()) {
    return Error{ErrorCode::kIo, 0, "the partial file of '" + path_ + "' was removed or replaced while it was written"};
  }
  // Forgotten first: once renamed, the name may be that of another run's file.
  ForgetTemporary(std::exchange(signal_slot_, kNoTemporarySlot));
  bool renamed = overwrite ? renameat(directory_, name_.c_str(), directory_, target_.c_str()) == 0
                           : RenameNoReplace(directory_, name_.c_str(), target_.c_str());
  if (!renamed) return errno == EEXIST ? TargetExists(path_) : SystemError(Cannot("write", path_), errno);
  name_.clear();
  return Status::Ok();
}

void PartialFile::Retract(bool stays) {
  keep_ = stays;
  if (pending()) return;
  struct stat status;
  bool is_ours =
      fstatat(directory_, target_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && IdentityOf(status) == identity_;
  std::string name = PartialNameOf(target_);
  if (is_ours && RenameNoReplace(directory_, target_.c_str(), name.c_str())) name_ = name;
}

Status PartialFile::DropPrevious() {
  resumable_ = false;
  previous_bytes_ = 0;
  signal_slot_ = RememberTemporary(directory_, name_);
  if (ftruncate(descriptor_.get(), 0) == 0) return Status::Ok();
  return SystemError(Cannot("write", path_), errno);
}

}  // namespace flyweight
