#include "cli/scratch_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

namespace flyweight::cli {
namespace {

// Where the handler finds the name; a copy that nothing frees, since a signal may come at any moment.
std::atomic<char*> current_path = nullptr;

}  // namespace

Result<ScratchDirectory> ScratchDirectory::MakeBeside(const std::string& file) {
  size_t slash = file.rfind('/');
  std::string name = (slash == std::string::npos ? "" : file.substr(0, slash + 1)) + ".flyweight-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    return Error{ErrorCode::kIo, 0, std::string("cannot make a directory beside it: ") + std::strerror(errno)};
  }
  current_path = strdup(name.c_str());
  return ScratchDirectory(std::move(name));
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}

ScratchDirectory::~ScratchDirectory() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  current_path = nullptr;
}

void RemoveScratchDirectory() noexcept {
  char* path = current_path;
  if (path == nullptr) return;
  // Walking a directory is nothing a handler may do itself, starting a process is.
  pid_t child = fork();
  if (child == 0) {
    execl("/bin/rm", "rm", "-rf", "--", path, static_cast<char*>(nullptr));
    _exit(1);
  }
  if (child > 0) waitpid(child, nullptr, 0);
}

}  // namespace flyweight::cli
