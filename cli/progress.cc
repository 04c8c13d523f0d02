#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr std::chrono::milliseconds kDrawInterval(100);
constexpr std::chrono::milliseconds kFirstDraw(300);  // what takes no longer needs no bar
constexpr size_t kBarColumns = 24;
constexpr size_t kDefaultColumns = 80;

size_t TerminalColumns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

std::string HumanDuration(double seconds) {
  auto whole = static_cast<unsigned long long>(std::min(seconds, 359999.0) + 0.5);
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%llu:%02llu:%02llu", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%llu:%02llu", whole / 60, whole % 60);
  }
  return text;
}

std::string Bar(double fraction) {
  auto filled = static_cast<size_t>(fraction * static_cast<double>(kBarColumns));
  return "[" + std::string(filled, '#') + std::string(kBarColumns - filled, '.') + "]";
}

}  // namespace

ProgressBar::ProgressBar(std::string name, uint64_t passes, bool enabled)
    : name_(EscapeForTerminal(name)), passes_(passes), enabled_(enabled), start_(Clock::now()), last_draw_(start_) {}

ProgressBar::~ProgressBar() { Clear(); }

void ProgressBar::Clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

ProgressCallback ProgressBar::Callback() {
  if (!enabled_) return {};
  return [this](const Progress& progress) { Update(progress); };
}

void ProgressBar::Update(const Progress& progress) {
  Clock::time_point now = Clock::now();
  if (now - start_ < kFirstDraw || now - last_draw_ < kDrawInterval) return;
  last_draw_ = now;
  Draw(progress, now);
}

void ProgressBar::Draw(const Progress& progress, Clock::time_point now) {
  double seconds = std::chrono::duration<double>(now - start_).count();
  double fraction = progress.total_bytes == 0
                        ? 1.0
                        : static_cast<double>(progress.done_bytes) / static_cast<double>(progress.total_bytes);
  uint64_t done_bytes = progress.done_bytes / passes_;
  auto bytes_per_second = static_cast<uint64_t>(static_cast<double>(done_bytes) / seconds);
  char percent[8];
  std::snprintf(percent, sizeof percent, "%3.0f%%", 100 * fraction);
  std::string line = name_ + "  " + std::string(progress.stage) + " " + Bar(fraction) + " " + percent + "  " +
                     HumanBytes(done_bytes) + "  " + HumanBytes(bytes_per_second) + "/s";
  if (fraction > 0) line += "  " + HumanDuration(seconds * (1 - fraction) / fraction) + " left";
  // A line that wraps could not be drawn over: the name gives way.
  size_t columns = TerminalColumns();
  if (size_t width = DisplayWidth(line); width >= columns) {
    size_t surplus = width - columns + 1;
    if (DisplayWidth(name_) != name_.size() || surplus >= name_.size()) return;
    line.erase(0, surplus);
  }
  std::fputs(("\r" + line + "\x1b[K").c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

NoticeCallback TellNotices(const std::string& file, ProgressBar& bar, Console& console) {
  return [&file, &bar, &console](const Notice& notice) {
    bar.Clear();
    const std::string& about = notice.path.empty() ? file : notice.path;
    if (notice.is_error) {
      console.Fail(about, notice.reason);
    } else {
      console.Warn(about, notice.reason);
    }
  };
}

}  // namespace flyweight::cli
