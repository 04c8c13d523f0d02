#include "pipeline/content.h"

namespace flyweight {

Result<std::shared_ptr<const Content>> ContentCache::Open(size_t file) {
  std::lock_guard lock(mutex_);
  for (const auto& [number, content] : open_) {
    if (number == file) return content;
  }
  FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(file));
  open_.emplace_back(file, content);
  if (open_.size() > kOpenMaxCount) open_.pop_front();
  return content;
}

}  // namespace flyweight
