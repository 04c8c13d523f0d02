#include "cli/console.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "cli/text.h"

namespace flyweight::cli {
namespace {

void WriteLine(const std::string& line) { std::fputs((line + "\n").c_str(), stderr); }

std::string WithoutQuoted(std::string message, const std::string& path, size_t begin) {
  std::string quoted = "'" + path + "'";
  for (const std::string& repeated : {quoted + " ", " " + quoted}) {
    size_t at = message.find(repeated, begin);
    bool is_repeated = at == begin || (at != std::string::npos && repeated.front() == ' ');
    if (is_repeated) return message.erase(at, repeated.size());
  }
  return message;
}

/// The library names the file in many messages, as a library must; here it stands in front already. The same of a
/// message about another file, which begins with its name.
std::string WithoutPath(std::string message, const std::string& path) {
  for (const std::string& named : {path + ": ", "'" + path + "': "}) {
    if (message.starts_with(named)) message.erase(0, named.size());
  }
  message = WithoutQuoted(std::move(message), path, 0);
  size_t colon = message.find(": ");
  if (colon == std::string::npos) return message;
  std::string other = message.substr(0, colon);
  return WithoutQuoted(std::move(message), other, colon + 2);
}

std::string NextStep(ErrorCode code) {
  return code == ErrorCode::kSourceChanged ? "; try again when nothing writes to it" : "";
}

}  // namespace

Console::Console(bool quiet, bool verbose) : quiet_(quiet), verbose_(verbose) {}

void Console::Count(ExitCode code) {
  if (worst_ == ExitCode::kError) return;
  worst_ = code;
}

void Console::Fail(const std::string& file, const std::string& reason) {
  Count(ExitCode::kError);
  WriteLine("flyweight: " + EscapeForTerminal(DisplayName(file)) + ": " + EscapeForTerminal(reason));
}

void Console::Warn(const std::string& file, const std::string& reason) {
  Count(ExitCode::kWarning);
  if (!quiet_) WriteLine("flyweight: " + EscapeForTerminal(DisplayName(file)) + ": " + EscapeForTerminal(reason));
}

void Console::Fail(const std::string& file, const Error& error) {
  Fail(file, WithoutPath(error.message, file) + NextStep(error.code));
}

void Console::FailComparison(const std::string& file, const Error& error) {
  Count(ExitCode::kWarning);
  WriteLine("flyweight: " + EscapeForTerminal(DisplayName(file)) + ": " +
            EscapeForTerminal(WithoutPath(error.message, file) + NextStep(error.code)));
}

void Console::FailUsage(const std::string& reason) {
  Count(ExitCode::kWarning);
  WriteLine("flyweight: " + EscapeForTerminal(reason) + "; see flyweight --help");
}

void Console::Tell(const std::string& file, const std::string& line) {
  if (!quiet_) WriteLine("flyweight: " + EscapeForTerminal(DisplayName(file)) + ": " + EscapeForTerminal(line));
}

void Console::Print(std::string_view line) {
  Write(line);
  Write("\n");
}

void Console::Write(std::string_view piece) { std::fwrite(piece.data(), 1, piece.size(), stdout); }

void Console::Note(const std::string& line) {
  if (quiet_ || !(verbose_ || IsTerminal(STDERR_FILENO))) return;
  WriteLine(EscapeForTerminal(line));
}

bool Console::Confirm(const std::string& question) {
  if (quiet_ || !IsTerminal(STDIN_FILENO) || !IsTerminal(STDERR_FILENO)) return false;
  std::fputs(("flyweight: " + EscapeForTerminal(question) + " (y/N) ").c_str(), stderr);
  std::string answer;
  for (int character = std::getchar(); character != EOF && character != '\n'; character = std::getchar()) {
    answer.push_back(static_cast<char>(character));
  }
  return answer == "y" || answer == "Y" || answer == "yes";
}

bool Console::wants_progress() const {
  const char* terminal = std::getenv("TERM");
  bool is_dumb = terminal == nullptr || std::strcmp(terminal, "dumb") == 0;
  return !quiet_ && !is_dumb && IsTerminal(STDERR_FILENO);
}

void Console::SetPosition(size_t number, size_t count) {
  position_ = count < 2 ? "" : "(" + std::to_string(number) + "/" + std::to_string(count) + ") ";
}

std::string Console::Label(const std::string& file) const { return position_ + DisplayName(file); }

int Console::Finish() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    Fail("standard output", std::string("cannot write: ") + std::strerror(errno));
  }
  return static_cast<int>(worst_);
}

std::string DisplayName(const std::string& path) { return path == kStream ? "standard input" : path; }

bool IsTerminal(int descriptor) { return isatty(descriptor) != 0; }

}  // namespace flyweight::cli
