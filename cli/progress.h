#pragma once

#include <chrono>
#include <string>

#include "flyweight/pipeline.h"

namespace flyweight::cli {

/// One line on standard error that is drawn over itself: what is done, how fast, how long it will take. Gone when it is
/// destroyed.
class ProgressBar {
 public:
  /// `passes` = how often the library counts each byte of the file. Where `enabled` is false nothing is ever drawn.
  ProgressBar(std::string name, uint64_t passes, bool enabled);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// Empty where the bar is not enabled. The bar must outlive it.
  ProgressCallback Callback();

 private:
  using Clock = std::chrono::steady_clock;
  void Update(const Progress& progress);
  void Draw(const Progress& progress, Clock::time_point now);

  std::string name_;
  uint64_t passes_;
  bool enabled_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point last_draw_;
};

}  // namespace flyweight::cli
