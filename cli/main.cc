#include <fcntl.h>

#include <malloc.h>
#include <sys/resource.h>
#include <cerrno>
#include <cstdlib>

#include <cstdio>
#include <exception>

#include "cli/args.h"
#include "cli/commands/commands.h"
#include "cli/console.h"
#include "cli/inputs.h"
#include "cli/signals.h"

namespace flyweight::cli {
namespace {

using Command = void (*)(const std::string& file, const Arguments& arguments, Console& console);

Command CommandOf(Verb verb) {
  switch (verb) {
    case Verb::kCompress:
      return RunCompress;
    case Verb::kDecompress:
      return RunDecompress;
    case Verb::kList:
      return RunList;
    case Verb::kInfo:
      return RunInfo;
    case Verb::kStat:
      return RunStat;
    case Verb::kVerify:
      return RunVerify;
    case Verb::kExtract:
      return RunExtract;
    case Verb::kScan:
      return RunScan;
    case Verb::kBench:
      return RunBench;
    case Verb::kMigrate:
      return RunMigrate;
    case Verb::kRepair:
      return RunRepair;
    default:
      return nullptr;
  }
}

/// The index of a large model takes tens of megabytes for a moment; from here on such blocks go back to the system when
/// they are freed.
void BoundAllocator() {
#ifdef M_MMAP_THRESHOLD
  constexpr int kLargeBlockBytes = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, kLargeBlockBytes);
#endif
}

/// The system itself refuses more, so that no hostile archive can ask for it: what then fails is reported as any error.
void LimitMemory(const Arguments& arguments) {
  if (!arguments.max_memory_bytes.has_value()) return;
  rlimit limit{};
  limit.rlim_cur = static_cast<rlim_t>(*arguments.max_memory_bytes);
  limit.rlim_max = limit.rlim_cur;
  setrlimit(RLIMIT_DATA, &limit);
}

int Print(const std::string& text, Console& console) {
  std::fputs(text.c_str(), stdout);
  return console.Finish();
}

int FailUsage(const UsageError& usage) {
  Console console(false, false);
  console.FailUsage(usage.message);
  return console.Finish();
}

void RunOnFiles(Arguments& arguments, Console& console) {
  if (arguments.verb == Verb::kDiff) return RunDiff(arguments, console);
  if (arguments.verb == Verb::kRebase) return RunRebase(arguments, console);
  if (arguments.verb == Verb::kPrune) return RunPrune(arguments, console);
  if (arguments.lineage) return RunLineage(arguments, console);
  if (GoesIntoOneArchive(arguments)) return RunCompressTogether(arguments, console);
  if (arguments.verb == Verb::kServePlan) return RunServePlan(arguments, console);
  if (arguments.verb == Verb::kApply) {
    if (FindBasesOf(arguments.files.back(), arguments, console)) RunApply(arguments, console);
    return;
  }
  ExpandDirectories(arguments, console);
  size_t number = 0;
  for (const std::string& file : arguments.files) {
    console.SetPosition(++number, arguments.files.size());
    if (!FindBasesOf(file, arguments, console)) continue;
    CommandOf(arguments.verb)(file, arguments, console);
  }
}

int Run(int argument_count, const char* const* argument_values) {
  auto parsed = ParseArguments(argument_count, argument_values);
  if (auto* usage = std::get_if<UsageError>(&parsed)) return FailUsage(*usage);
  auto& arguments = std::get<Arguments>(parsed);
  Console console(arguments.quiet, arguments.verbose);
  if (arguments.verb == Verb::kHelp) return Print(HelpText(arguments.topic), console);
  if (arguments.verb == Verb::kVersion) return Print(VersionText(), console);
  if (auto usage = ResolveOutput(arguments); usage.has_value()) return FailUsage(*usage);

  if (arguments.files.empty()) {
    if (IsTerminal(0)) return FailUsage({"no file is named, and standard input is a terminal"});
    arguments.files.emplace_back(kStream);
  }
  LimitMemory(arguments);
  RunOnFiles(arguments, console);
  return console.Finish();
}

// A file opened while a standard stream is closed would take its number, and be read or written in its place. The
// stand-in is opened the wrong way round, so that using it is an error.
void OccupyClosedStreams() {
  for (int descriptor = 0; descriptor <= 2; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    if (open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY) != descriptor) std::_Exit(1);
  }
}

}  // namespace
}  // namespace flyweight::cli

int main(int argument_count, char** argument_values) {
  flyweight::cli::OccupyClosedStreams();
  flyweight::cli::BoundAllocator();
  flyweight::cli::InstallSignalHandlers();
  try {
    return flyweight::cli::Run(argument_count, argument_values);
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "flyweight: %s\n", exception.what());
    return 1;
  }
}
