#include "tree/directory_stack.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace flyweight {
namespace {

constexpr size_t kDescriptorsMax = 32;

bool IsDots(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

}  // namespace

bool NameList::Read(int directory) {
  alignas(dirent64) char buffer[32 * 1024];
  while (true) {
    ssize_t size = getdents64(directory, buffer, sizeof buffer);
    if (size < 0) return false;
    if (size == 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* record = reinterpret_cast<const dirent64*>(buffer + at);
      at += record->d_reclen;
      if (IsDots(record->d_name)) continue;
      offsets_.push_back(bytes_.size());
      bytes_.append(record->d_name).push_back('\0');
    }
  }
  const char* bytes = bytes_.data();
  std::ranges::sort(offsets_, [bytes](size_t a, size_t b) { return std::strcmp(bytes + a, bytes + b) < 0; });
  return true;
}

bool DirectoryStack::PushTop(OwnedDescriptor top) {
  struct stat status;
  if (fstat(top.get(), &status) != 0) return false;
  levels_.push_back({std::move(top), IdentityOf(status)});
  return true;
}

bool DirectoryStack::Push(const std::string& name) {
  OwnedDescriptor child = OpenQuietly(descriptor(), name, O_DIRECTORY);
  if (!child.valid() || !PushTop(std::move(child))) return false;
  if (levels_.size() > kDescriptorsMax) levels_[levels_.size() - 1 - kDescriptorsMax].descriptor.Reset();
  return true;
}

bool DirectoryStack::Pop() {
  OwnedDescriptor child = std::move(levels_.back().descriptor);
  levels_.pop_back();
  if (levels_.empty() || levels_.back().descriptor.valid()) return true;
  OwnedDescriptor parent = OpenAt(child.get(), "..", O_PATH | O_DIRECTORY);
  struct stat status;
  if (!parent.valid() || fstat(parent.get(), &status) != 0) return false;
  if (IdentityOf(status) != levels_.back().identity) {
    errno = ESTALE;
    return false;
  }
  levels_.back().descriptor = std::move(parent);
  return true;
}

bool DirectoryStack::Contains(const FileIdentity& identity) const {
  return std::ranges::any_of(levels_, [&](const Level& level) { return level.identity == identity; });
}

}  // namespace flyweight
