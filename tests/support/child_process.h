#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <exception>
#include <functional>

namespace flyweight::test {

/// Exit status of a child that wants its test skipped: the machine lacks what it needs.
inline constexpr int kChildSkips = 77;

/// Runs `body` in a forked child, which exits with what it returns, and gives wait()'s status. For what would change
/// the whole test program: its user, its limits, its mounts, its death by a signal. Call it while no other thread runs.
/// The child must not use EXPECT or ASSERT.
inline int RunInChild(const std::function<int()>& body) {
  pid_t child = fork();
  if (child == 0) {
    int status = 99;
    try {
      status = body();
    } catch (const std::exception&) {
    }
    _exit(status);
  }
  int status = -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// The child's exit status, or -1 where it did not end by itself.
inline int ExitStatus(int wait_status) { return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1; }

/// Becomes a user without privileges, in a child; true where it is one now.
inline bool DropPrivileges() {
  constexpr uid_t kNobody = 65534;
  return geteuid() != 0 || setuid(kNobody) == 0;
}

/// Makes writes behind `size_bytes` of any file fail with EFBIG until the end of the scope.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(size_t size_bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    rlimit limit = old_limit_;
    limit.rlim_cur = size_bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*old_handler_)(int);
  rlimit old_limit_{};
};

}  // namespace flyweight::test
