#include "cli/signals.h"

#include <array>
#include <csignal>

#include "base/file.h"
#include "cli/scratch_directory.h"

namespace flyweight::cli {
namespace {

extern "C" void RemoveAndDie(int signal_number) {
  RemoveTemporaryFiles();
  RemoveScratchDirectory();
  // SA_RESETHAND put the default back; it acts as soon as this handler returns.
  raise(signal_number);
}

}  // namespace

void InstallSignalHandlers() {
  constexpr std::array kDeadly = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU};
  for (int signal_number : kDeadly) {
    struct sigaction old_action{};
    sigaction(signal_number, nullptr, &old_action);
    if (old_action.sa_handler == SIG_IGN && signal_number != SIGPIPE) continue;  // nohup
    struct sigaction action{};
    action.sa_handler = RemoveAndDie;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(signal_number, &action, nullptr);
  }
  // Writing behind a file size limit is then an error with a message like any other.
  std::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace flyweight::cli
