#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/file_io.h"
#include "base/output_name.h"
#include "base/partial_file.h"

namespace flyweight {

Result<std::unique_ptr<AtomicFile>> AtomicFile::Create(const std::string& path, const AtomicOptions& options) {
  FLYWEIGHT_ASSIGN(OutputPlace place, OpenOutputPlace(path));
  std::unique_ptr<AtomicFile> file(new AtomicFile());
  file->path_ = path;
  file->name_ = std::move(place.name);
  file->directory_ = place.directory.Release();
  file->overwrite_ = options.overwrite;
  FLYWEIGHT_TRY(CheckTarget(file->directory_, file->name_, path, options.overwrite));
  FLYWEIGHT_ASSIGN(file->partial_, PartialFile::Open(file->directory_, file->name_, path, options.resumable));
  // Again: whoever had the partial file until now may have finished.
  FLYWEIGHT_TRY(CheckTarget(file->directory_, file->name_, path, options.overwrite));
  file->previous_ = std::make_unique<DescriptorSource>(file->partial_->descriptor(), file->partial_->previous_bytes(),
                                                       file->partial_->name());
  return file;
}

AtomicFile::~AtomicFile() {
  partial_.reset();
  if (directory_ >= 0) close(directory_);
}

Status AtomicFile::Append(ByteSpan bytes) {
  FLYWEIGHT_TRY(WriteAt(appended_bytes_, bytes));
  appended_bytes_ += bytes.size();
  return Status::Ok();
}

Status AtomicFile::WriteAt(uint64_t offset, ByteSpan bytes) {
  FLYWEIGHT_TRY(WriteFileAt(partial_->descriptor(), offset, bytes, path_));
  RaiseEnd(offset + bytes.size());
  return Status::Ok();
}

void AtomicFile::KeepPrevious(uint64_t offset, uint64_t size_bytes) { RaiseEnd(offset + size_bytes); }

void AtomicFile::RaiseEnd(uint64_t end_offset) {
  uint64_t known = end_offset_.load(std::memory_order_relaxed);
  while (known < end_offset && !end_offset_.compare_exchange_weak(known, end_offset, std::memory_order_relaxed)) {
  }
}

Status AtomicFile::Reserve(uint64_t size_bytes) {
  if (size_bytes == 0) return Status::Ok();
  if (size_bytes > static_cast<uint64_t>(INT64_MAX)) return SystemError(Cannot("write", path_), EFBIG);
  int result;
  do {
    result = fallocate(partial_->descriptor(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    reserved_ = true;
    return Status::Ok();
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return Status::Ok();
  std::string what = "cannot reserve " + std::to_string(size_bytes) + " bytes for '" + path_ + "'";
  return SystemError(what, errno);
}

// Cuts off what an interrupted run wrote behind the end of this one's output, and what was reserved there.
Status AtomicFile::DropUnwritten() {
  uint64_t end_offset = end_offset_.load(std::memory_order_relaxed);
  if (!reserved_ && partial_->previous_bytes() <= end_offset) return Status::Ok();
  int result;
  do {
    result = ftruncate(partial_->descriptor(), static_cast<off_t>(end_offset));
  } while (result != 0 && errno == EINTR);
  if (result != 0) return SystemError(Cannot("write", path_), errno);
  return Status::Ok();
}

Status AtomicFile::Sync() {
  if (SyncDescriptor(partial_->descriptor())) return Status::Ok();
  return SystemError(Cannot("write", path_), errno);
}

Result<std::unique_ptr<ByteSource>> AtomicFile::ReadBack() const {
  return std::unique_ptr<ByteSource>(
      new DescriptorSource(partial_->descriptor(), end_offset_.load(std::memory_order_relaxed), path_));
}

Status AtomicFile::Commit(uint32_t mode, int64_t modified_ns) {
  if (!partial_->pending()) {
    return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was put under its name twice"};
  }
  FLYWEIGHT_TRY(DropUnwritten());
  FLYWEIGHT_TRY(SetAttributes(partial_->descriptor(), path_, mode, modified_ns));
  FLYWEIGHT_TRY(Sync());
  if (overwrite_) FLYWEIGHT_TRY(CheckTarget(directory_, name_, path_, overwrite_));
  FLYWEIGHT_TRY(partial_->TakeName(overwrite_));
  return SyncDirectory(directory_, path_);
}

}  // namespace flyweight
