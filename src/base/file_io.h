#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/file.h"

// What the files of this room share about descriptors. Every loop here resumes after EINTR and after short transfers.

namespace flyweight {

/// "<what>: <the system's words for error_number>", code kIo (kOutOfMemory for ENOMEM).
Error SystemError(std::string_view what, int error_number, uint64_t offset = 0);

/// "cannot read 'path'" and the like.
std::string Cannot(std::string_view verb, std::string_view path);

/// Closes its descriptor when it goes.
class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~OwnedDescriptor() { Reset(); }
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : descriptor_(other.Release()) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept;

  int get() const { return descriptor_; }
  bool valid() const { return descriptor_ >= 0; }
  int Release() { return std::exchange(descriptor_, -1); }
  void Reset();

 private:
  int descriptor_;
};

/// open() and openat(), resumed after EINTR. Invalid with errno set where it fails.
OwnedDescriptor OpenAt(int directory, const char* name, int flags, unsigned mode = 0);

/// Which file something is, whatever its name.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

FileIdentity IdentityOf(const struct stat& status);

/// Fills `target` from `offset` of a file that is known to have been long enough. Errors: kSourceChanged where it ends
/// early, kIo.
Status ReadFileAt(int descriptor, uint64_t offset, MutableByteSpan target, const std::string& name);

/// kTruncated unless [offset, offset + count) lies in [0, size_bytes).
Status CheckRange(uint64_t offset, uint64_t count, uint64_t size_bytes, const std::string& name);

/// Writes all of `bytes` at `offset`. Errors: kIo.
Status WriteFileAt(int descriptor, uint64_t offset, ByteSpan bytes, const std::string& name);

/// Writes all of `bytes` to a stream, waiting where it is non-blocking and full. `offset` is for messages. Errors: kIo.
Status WriteStream(int descriptor, uint64_t offset, ByteSpan bytes, const std::string& name);

/// Reads up to target.size() bytes of a stream, waiting where it is non-blocking and empty; 0 is the end. Errors: kIo.
Result<size_t> ReadStream(int descriptor, uint64_t offset, MutableByteSpan target, const std::string& name);

/// Where temporary data go: `directory`, or TMPDIR or /tmp where it is empty.
std::string SpoolDirectory(const std::string& directory);

/// A new file without a name in `directory`, for reading and writing: it goes with the process, whatever ends it.
/// Invalid with errno set where it fails.
OwnedDescriptor OpenUnnamed(const std::string& directory);

/// A file of `size_bytes` behind a descriptor, owned or borrowed.
class DescriptorSource final : public ByteSource {
 public:
  DescriptorSource(OwnedDescriptor owned, uint64_t size_bytes, std::string name)
      : owned_(std::move(owned)), descriptor_(owned_.get()), size_bytes_(size_bytes), name_(std::move(name)) {}
  DescriptorSource(int borrowed, uint64_t size_bytes, std::string name)
      : descriptor_(borrowed), size_bytes_(size_bytes), name_(std::move(name)) {}

  uint64_t size() const override { return size_bytes_; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;

 private:
  OwnedDescriptor owned_;
  int descriptor_;
  uint64_t size_bytes_;
  std::string name_;
};

}  // namespace flyweight
