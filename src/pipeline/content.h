#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

#include "base/file.h"
#include "flyweight/result.h"

namespace flyweight {

/// The content of one file of an archive that is being made.
class Content {
 public:
  virtual ~Content() = default;
  virtual const ByteSource& source() const = 0;
  /// Errors: kSourceChanged where it changed since it was opened.
  virtual Status CheckUnchanged() const = 0;
};

/// The contents of all files of an archive that is being made, by the files' numbers in its index. Thread-safe.
class ContentSet {
 public:
  virtual ~ContentSet() = default;
  /// Opens a file anew. Errors: kIo, kSourceChanged.
  virtual Result<std::shared_ptr<const Content>> Open(size_t file) const = 0;
};

/// One source that is open already, as file 0. It must outlive this.
class SingleContent final : public ContentSet {
 public:
  explicit SingleContent(const ByteSource& source) : content_(std::make_shared<Borrowed>(source)) {}
  Result<std::shared_ptr<const Content>> Open(size_t) const override {
    return std::shared_ptr<const Content>(content_);
  }

 private:
  struct Borrowed final : Content {
    explicit Borrowed(const ByteSource& borrowed) : bytes(borrowed) {}
    const ByteSource& source() const override { return bytes; }
    Status CheckUnchanged() const override { return Status::Ok(); }  // whoever opened it checks
    const ByteSource& bytes;
  };
  std::shared_ptr<const Borrowed> content_;
};

/// Keeps the contents that were opened last open, so that the many extents of a file, and the threads that work on
/// them, share one descriptor. Thread-safe.
class ContentCache {
 public:
  explicit ContentCache(const ContentSet& contents) : contents_(contents) {}

  Result<std::shared_ptr<const Content>> Open(size_t file);

 private:
  static constexpr size_t kOpenMaxCount = 16;
  const ContentSet& contents_;
  std::mutex mutex_;
  std::deque<std::pair<size_t, std::shared_ptr<const Content>>> open_;
};

}  // namespace flyweight
