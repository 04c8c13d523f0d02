#pragma once

#include <string>

#include "flyweight/result.h"

namespace flyweight::cli {

/// A directory beside a file, for this user alone, that goes with all it holds: when the object is destroyed, or when a
/// signal ends the process. One at a time.
class ScratchDirectory {
 public:
  /// Errors: kIo.
  static Result<ScratchDirectory> MakeBeside(const std::string& file);
  ~ScratchDirectory();
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

/// For signal handlers: removes the directory there is, if any.
void RemoveScratchDirectory() noexcept;

}  // namespace flyweight::cli
