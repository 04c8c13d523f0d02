#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "flyweight/pipeline.h"

namespace flyweight {

/// Counts decoded bytes from any thread and tells a ProgressCallback, which is called from one thread only.
class ProgressMeter {
 public:
  ProgressMeter(const ProgressCallback& callback, uint64_t total_bytes)
      : callback_(callback), total_bytes_(total_bytes) {}

  /// Names what happens from now on. Not while a run is going on.
  void SetStage(std::string_view stage) { stage_ = stage; }
  void Add(uint64_t bytes) { done_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  /// Calls back where something was added since the last call.
  void Report() {
    if (!callback_) return;
    uint64_t done_bytes = done_bytes_.load(std::memory_order_relaxed);
    if (done_bytes == reported_bytes_) return;
    reported_bytes_ = done_bytes;
    callback_({stage_, done_bytes, total_bytes_});
  }

 private:
  const ProgressCallback& callback_;
  std::string_view stage_;
  uint64_t total_bytes_;
  std::atomic<uint64_t> done_bytes_ = 0;
  uint64_t reported_bytes_ = 0;
};

}  // namespace flyweight
