#include "codec/scratch.h"

#include <mutex>
#include <utility>

namespace flyweight {
namespace {

// Scratch that was used is warm: its pages are there, its coders are made. A call on one small tensor would otherwise
// spend more on that than on the tensor, so a few are kept for the next call.
class ScratchCache {
 public:
  std::unique_ptr<CodecScratch::Impl> Take() {
    std::lock_guard lock(mutex_);
    if (kept_.empty()) return nullptr;
    std::unique_ptr<CodecScratch::Impl> scratch = std::move(kept_.back());
    kept_.pop_back();
    return scratch;
  }

  void Keep(std::unique_ptr<CodecScratch::Impl> scratch) {
    std::lock_guard lock(mutex_);
    if (kept_.size() < kMaxKept) kept_.push_back(std::move(scratch));
  }

 private:
  static constexpr size_t kMaxKept = 4;

  std::mutex mutex_;
  std::vector<std::unique_ptr<CodecScratch::Impl>> kept_;
};

// Never destroyed: scratch may be given back by threads that outlive main.
ScratchCache& Cache() {
  static auto* const kCache = new ScratchCache;
  return *kCache;
}

}  // namespace

CodecScratch::CodecScratch() : impl_(Cache().Take()) {
  if (impl_ == nullptr) impl_ = std::make_unique<Impl>();
}

CodecScratch::~CodecScratch() {
  if (impl_ != nullptr) Cache().Keep(std::move(impl_));
}

CodecScratch::CodecScratch(CodecScratch&&) noexcept = default;
CodecScratch& CodecScratch::operator=(CodecScratch&&) noexcept = default;

}  // namespace flyweight
