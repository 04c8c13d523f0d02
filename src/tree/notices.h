#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <utility>

#include "base/file_io.h"
#include "tree/entry.h"

namespace flyweight {

/// What a file system may be unable to keep.
enum class Quirk : uint8_t { kMode, kTimes, kHardLinks };

/// Hands notices on, one at a time; what a whole file system lacks only once.
class Notices {
 public:
  explicit Notices(TreeNotice notice) : notice_(std::move(notice)) {}

  void Tell(TreeSeverity severity, const Error& error) {
    std::lock_guard lock(mutex_);
    if (notice_) notice_(severity, error);
  }
  /// A warning that names the first entry only. `what`: "the permissions of".
  void TellOnce(Quirk quirk, const std::string& what, const std::string& path, int error_number) {
    if (said_[static_cast<size_t>(quirk)].exchange(true)) return;
    Error error = SystemError("the file system does not keep " + what + " '" + path + "', nor perhaps of other entries",
                              error_number);
    Tell(TreeSeverity::kWarning, error);
  }

 private:
  TreeNotice notice_;
  std::mutex mutex_;
  std::atomic<bool> said_[3] = {};
};

}  // namespace flyweight
