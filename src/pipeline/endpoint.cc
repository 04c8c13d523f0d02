#include "pipeline/endpoint.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

namespace flyweight {
namespace {

constexpr size_t kGatherBytes = size_t{256} << 10;
constexpr uint32_t kPermissionBits = 0777;

/// What the umask leaves of a new file's rw-rw-rw-. Read from the kernel's report, since umask() can only be asked by
/// changing it for all threads.
uint32_t NewFileMode() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "Umask:") continue;
    uint32_t mask = 0;
    if (status >> std::oct >> mask) return 0666U & ~mask;
    break;
  }
  return 0600;
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status InputEndpoint::CheckUnchanged() const {
  if (parts != nullptr) return parts->CheckUnchanged();
  return file == nullptr ? Status::Ok() : file->CheckUnchanged();
}

uint32_t InputEndpoint::mode() const {
  if (parts != nullptr) return parts->stamp(1).mode & kPermissionBits;
  return file == nullptr ? NewFileMode() : file->stamp().mode & kPermissionBits;
}

int64_t InputEndpoint::modified_ns() const {
  if (parts != nullptr) return parts->stamp(1).modified_ns;
  if (file != nullptr) return file->stamp().modified_ns;
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

Result<InputEndpoint> OpenArchiveInput(const std::string& path, const std::string& target) {
  if (path == kStreamPath) return OpenInput(path, target);
  FLYWEIGHT_ASSIGN(std::optional<std::string> base, PartsSource::FindBase(path));
  if (!base.has_value()) return OpenInput(path, target);
  InputEndpoint input;
  FLYWEIGHT_ASSIGN(std::unique_ptr<PartsSource> parts, PartsSource::Open(path));
  input.parts = parts.get();
  input.source = std::move(parts);
  return input;
}

Result<InputEndpoint> OpenInput(const std::string& path, const std::string& target) {
  InputEndpoint input;
  if (path == kStreamPath) {
    std::string directory = target == kStreamPath ? "" : DirectoryOf(target);
    FLYWEIGHT_ASSIGN(input.source, SpoolDescriptor(STDIN_FILENO, directory));
    return input;
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> file, FileSource::Open(path));
  input.file = file.get();
  input.source = std::move(file);
  return input;
}

Status RefuseSameFile(const InputEndpoint& input, const std::string& target) {
  struct stat status;
  // A shell's redirection can make standard output the source.
  int failed = target == kStreamPath ? fstat(STDOUT_FILENO, &status) : stat(target.c_str(), &status);
  if (input.file == nullptr || failed != 0) return Status::Ok();
  const FileStamp& stamp = input.file->stamp();
  if (stamp.device != static_cast<uint64_t>(status.st_dev) || stamp.inode != static_cast<uint64_t>(status.st_ino)) {
    return Status::Ok();
  }
  return Error{ErrorCode::kInvalidArgument, 0, "input and output are the same file"};
}

std::string BaseNameOf(const std::string& path) {
  if (path == kStreamPath) return "";
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

Status CheckFileName(std::string_view name) {
  constexpr size_t kNameMaxBytes = 65535;
  bool is_plain = name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos &&
                  name != "." && name != "..";
  if (is_plain && name.size() <= kNameMaxBytes) return Status::Ok();
  return Error{ErrorCode::kInvalidArgument, 0, "not the plain name of a file"};
}

Status GatheringSink::Append(ByteSpan bytes) {
  if (gathered_.size() + bytes.size() > kGatherBytes) FLYWEIGHT_TRY(Flush());
  if (gathered_.empty() && bytes.size() >= kGatherBytes / 2) return sink_.Append(bytes);
  gathered_.reserve(kGatherBytes);
  gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
  return Status::Ok();
}

Status GatheringSink::Flush() {
  if (gathered_.empty()) return Status::Ok();
  FLYWEIGHT_TRY(sink_.Append(gathered_));
  gathered_.clear();
  return Status::Ok();
}

}  // namespace flyweight
