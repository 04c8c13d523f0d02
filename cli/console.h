#pragma once

#include <string>
#include <string_view>

#include "cli/args.h"
#include "flyweight/error.h"

namespace flyweight::cli {

/// Exit codes; of several files the worst one counts, and an error is worse than a warning.
enum class ExitCode : int { kDone = 0, kError = 1, kWarning = 2 };

/// What the user is told, and what the command's exit code becomes. Results go to standard output, all else to standard
/// error.
class Console {
 public:
  Console(bool quiet, bool verbose);

  /// One line on standard error: "flyweight: FILE: reason". Escapes what a terminal would act on.
  void Fail(const std::string& file, const std::string& reason);
  /// The same; not shown where the user asked for quiet, but it counts.
  void Warn(const std::string& file, const std::string& reason);
  /// An error of the library about `file`.
  void Fail(const std::string& file, const Error& error);
  /// The exit code says that two things differ, as that of cmp.
  void TellDifference() { Count(ExitCode::kError); }
  /// An error of a verb whose exit code says with 1 that things differ: the code becomes 2.
  void FailComparison(const std::string& file, const Error& error);
  /// What a comparison was to write is not written, which counts more than that things differ.
  void FailPatch() { worst_ = ExitCode::kWarning; }
  /// Wrong usage: the whole command does nothing.
  void FailUsage(const std::string& reason);

  /// A line about `file` on standard error that is neither an error nor a warning, unless the user asked for quiet.
  void Tell(const std::string& file, const std::string& line);
  /// A line of result on standard output.
  void Print(std::string_view line);
  /// A piece of such a line.
  void Write(std::string_view piece);
  /// A line that sums up what was done, on standard error: shown where -v or a terminal asks for it.
  void Note(const std::string& line);

  /// Asks on the terminal; false where there is none or standard input is used for data.
  bool Confirm(const std::string& question);

  bool quiet() const { return quiet_; }
  /// Which of how many files is being done, from 1; shown beside the bar.
  void SetPosition(size_t number, size_t count);
  /// What a progress bar for `file` says in front: "(2/7) m.safetensors".
  std::string Label(const std::string& file) const;
  bool wants_progress() const;
  /// Also fails where standard output could not be written.
  int Finish();

 private:
  void Count(ExitCode code);
  bool quiet_;
  bool verbose_;
  std::string position_;
  ExitCode worst_ = ExitCode::kDone;
};

/// "standard input" for "-", else the path.
std::string DisplayName(const std::string& path);

bool IsTerminal(int descriptor);

}  // namespace flyweight::cli
