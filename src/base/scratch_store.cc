#include "base/scratch_store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file_io.h"

namespace flyweight {

Result<std::unique_ptr<ScratchStore>> ScratchStore::Make(uint64_t size_bytes, const std::string& directory) {
  std::unique_ptr<ScratchStore> store(new ScratchStore(size_bytes));
  if (size_bytes <= kMemoryMaxBytes) {
    store->memory_.resize(static_cast<size_t>(size_bytes));
    return store;
  }
  store->place_ = SpoolDirectory(directory);
  OwnedDescriptor file = OpenUnnamed(store->place_);
  if (!file.valid()) return SystemError("cannot make a temporary file in '" + store->place_ + "'", errno);
  if (size_bytes > INT64_MAX || ftruncate(file.get(), static_cast<off_t>(size_bytes)) != 0) {
    return SystemError(
        "cannot make a temporary file of " + std::to_string(size_bytes) + " bytes in '" + store->place_ + "'",
        size_bytes > INT64_MAX ? EFBIG : errno);
  }
  store->descriptor_ = file.Release();
  return store;
}

ScratchStore::~ScratchStore() { OwnedDescriptor closed(descriptor_); }

Status ScratchStore::WriteAt(uint64_t offset, ByteSpan bytes) {
  FLYWEIGHT_TRY(CheckRange(offset, bytes.size(), size_bytes_, "temporary data"));
  if (descriptor_ < 0) {
    std::copy(bytes.begin(), bytes.end(), memory_.begin() + static_cast<ptrdiff_t>(offset));
    return Status::Ok();
  }
  Status written = WriteFileAt(descriptor_, offset, bytes, place_);
  return written.ok() ? Status::Ok()
                      : Status(WithContext(written.take_error(), "keeping temporary data (TMPDIR says where)"));
}

Status ScratchStore::ReadAt(uint64_t offset, MutableByteSpan target) const {
  FLYWEIGHT_TRY(CheckRange(offset, target.size(), size_bytes_, "temporary data"));
  if (descriptor_ >= 0) return ReadFileAt(descriptor_, offset, target, "temporary data");
  std::copy_n(memory_.begin() + static_cast<ptrdiff_t>(offset), target.size(), target.begin());
  return Status::Ok();
}

}  // namespace flyweight
