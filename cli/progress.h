#pragma once

#include <chrono>
#include <string>

#include "cli/console.h"
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

  /// Takes the line away until it is drawn again, so that a message may stand there.
  void Clear();

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

/// Tells the console what the library has to say while `bar` is shown. Both must outlive it.
NoticeCallback TellNotices(const std::string& file, ProgressBar& bar, Console& console);

}  // namespace flyweight::cli
