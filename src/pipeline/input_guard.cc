#include "pipeline/input_guard.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <optional>

#include "base/parts.h"
#include "pipeline/endpoint.h"

namespace flyweight {
namespace {

namespace fs = std::filesystem;

constexpr size_t kEntryMaxCount = 1000000;

std::optional<struct stat> StatOf(const std::string& path) {
  struct stat status;
  // A shell's redirection can make standard output an input.
  int failed = path == kStreamPath ? fstat(STDOUT_FILENO, &status) : stat(path.c_str(), &status);
  if (failed != 0) return std::nullopt;
  return status;
}

std::pair<uint64_t, uint64_t> IdOf(const struct stat& status) {
  return {static_cast<uint64_t>(status.st_dev), static_cast<uint64_t>(status.st_ino)};
}

/// The file that a path names, or the archive that it leads into.
std::string FileAt(std::string path) {
  while (!path.empty() && !StatOf(path).has_value()) {
    size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
  std::optional<struct stat> status = path.empty() ? std::nullopt : StatOf(path);
  return status.has_value() && S_ISREG(status->st_mode) ? path : std::string();
}

Error Refusal(const std::string& target, const std::string& relation, const std::string& input) {
  std::string what =
      target == input ? "'" + target + "' is" : "'" + target + "' " + relation + " '" + input + "', which is";
  return {ErrorCode::kInvalidArgument, 0,
          what + " read to make the output, so it is not overwritten; name another output"};
}

}  // namespace

InputGuard::InputGuard(const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs) {
    if (input != kStreamPath) Add(input);
  }
}

void InputGuard::Add(const std::string& path) {
  std::optional<struct stat> status = StatOf(path);
  if (status.has_value()) inputs_.emplace(IdOf(*status), path);
  if (status.has_value() && S_ISDIR(status->st_mode)) {
    directories_.emplace(IdOf(*status), path);
    return AddFilesIn(path);
  }
  Result<std::optional<std::string>> parts = PartsSource::FindBase(path);
  if (parts.ok() && parts.value().has_value()) return AddParts(path);
  if (status.has_value()) return;
  if (std::string file = FileAt(path); !file.empty()) Add(file);
}

void InputGuard::AddParts(const std::string& path) {
  Result<std::unique_ptr<PartsSource>> source = PartsSource::Open(path);
  if (!source.ok()) return;
  for (uint32_t part = 1; part <= source.value()->part_count(); ++part) {
    const FileStamp& stamp = source.value()->stamp(part);
    inputs_.emplace(FileId{stamp.device, stamp.inode}, source.value()->part_path(part));
  }
}

void InputGuard::AddFilesIn(const std::string& directory) {
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, fs::directory_options::skip_permission_denied, error);
  for (size_t count = 0; !error && entry != fs::recursive_directory_iterator() && count < kEntryMaxCount; ++count) {
    std::optional<struct stat> status = StatOf(entry->path().string());
    if (status.has_value() && S_ISREG(status->st_mode)) inputs_.emplace(IdOf(*status), directory);
    entry.increment(error);
  }
}

Status InputGuard::CheckReplaced(const std::string& target) const {
  std::optional<struct stat> status = StatOf(target);
  if (!status.has_value()) return Status::Ok();
  auto found = inputs_.find(IdOf(*status));
  if (found == inputs_.end()) return Status::Ok();
  std::string name = target == kStreamPath ? "standard output" : target;
  std::error_code error;
  bool is_input = directories_.contains(IdOf(*status)) || !fs::is_directory(found->second, error);
  return Refusal(name, is_input ? "is" : "belongs to", found->second);
}

Status InputGuard::Check(const std::string& target) const {
  FLYWEIGHT_TRY(CheckReplaced(target));
  if (directories_.empty() || target == kStreamPath) return Status::Ok();
  std::error_code error;
  fs::path path = fs::weakly_canonical(fs::absolute(target, error), error);
  if (error) return Status::Ok();
  while (path.has_relative_path()) {
    path = path.parent_path();
    std::optional<struct stat> status = StatOf(path.string());
    if (!status.has_value()) continue;
    auto found = directories_.find(IdOf(*status));
    if (found != directories_.end()) return Refusal(target, "lies in", found->second);
  }
  return Status::Ok();
}

}  // namespace flyweight
