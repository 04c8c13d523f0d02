#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "base/file_io.h"

namespace flyweight {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

}  // namespace

std::string SpoolDirectory(const std::string& directory) {
  if (!directory.empty()) return directory;
  const char* environment = std::getenv("TMPDIR");
  return environment != nullptr && *environment != '\0' ? environment : "/tmp";
}

OwnedDescriptor OpenUnnamed(const std::string& directory) {
  OwnedDescriptor unnamed = OpenAt(AT_FDCWD, directory.c_str(), O_TMPFILE | O_RDWR | O_EXCL, 0600);
  if (unnamed.valid() || errno == ENOENT || errno == ENOTDIR || errno == EACCES) return unnamed;
  std::string name = directory + "/.flyweight-XXXXXX";  // not every file system knows O_TMPFILE
  OwnedDescriptor named(mkostemp(name.data(), O_CLOEXEC));
  if (named.valid()) unlink(name.c_str());
  return named;
}

Result<std::unique_ptr<ByteSource>> SpoolDescriptor(int descriptor, const std::string& directory) {
  const std::string input_name = descriptor == STDIN_FILENO ? "standard input" : "input";
  const std::string place = SpoolDirectory(directory);
  OwnedDescriptor spool = OpenUnnamed(place);
  if (!spool.valid()) {
    return SystemError("cannot make a temporary file for " + input_name + " in '" + place + "'", errno);
  }
  AlignedBuffer piece(kPieceBytes);
  uint64_t size_bytes = 0;
  while (true) {
    FLYWEIGHT_ASSIGN(size_t count, ReadStream(descriptor, size_bytes, {piece.data(), piece.size()}, input_name));
    if (count == 0) break;
    Status written = WriteFileAt(spool.get(), size_bytes, {piece.data(), count}, place);
    if (!written.ok()) {
      return WithContext(written.take_error(), "keeping a temporary copy of " + input_name + " (TMPDIR says where)");
    }
    size_bytes += count;
  }
  return std::unique_ptr<ByteSource>(new DescriptorSource(std::move(spool), size_bytes, input_name));
}

}  // namespace flyweight
