#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {
namespace {

using Sources = std::vector<std::string>;

void Report(const Sources& sources, const std::string& target, const CompressSummary& summary,
            const Arguments& arguments, Console& console) {
  if (arguments.json) {
    Json report = {{"source", sources.front()},
                   {"target", target},
                   {"source_bytes", summary.source_bytes},
                   {"archive_bytes", summary.archive_bytes},
                   {"file_count", summary.file_count},
                   {"tensor_count", summary.tensor_count}};
    if (sources.size() > 1) report["sources"] = sources;
    console.Print(ToJsonLine(report));
    return;
  }
  std::string what = sources.size() == 1 ? DisplayName(sources.front()) : std::to_string(sources.size()) + " inputs";
  std::string written = target == kStream ? "" : ", written to " + target;
  console.Note(what + ": " + HumanPercent(summary.archive_bytes, summary.source_bytes) + " (" +
               HumanBytes(summary.source_bytes) + " to " + HumanBytes(summary.archive_bytes) + ")" + written);
}

/// Where the archive of one source goes; nothing where that cannot be said, which was told to the console.
std::optional<std::string> TargetOf(const std::string& source, const Arguments& arguments, Console& console) {
  bool into_directory =
      arguments.output.has_value() && *arguments.output != kStream && NamesDirectory(*arguments.output);
  if (arguments.output.has_value() && !into_directory) return arguments.output;
  if (!into_directory && (arguments.to_stdout || source == kStream)) return std::string(kStream);
  if (HasSuffix(source) && !IsDirectory(source)) {
    console.Warn(source, std::string("already has the suffix ") + kSuffix + "; unchanged");
    return std::nullopt;
  }
  std::string name = source == kStream ? "" : BaseNameOf(source);
  if (name.empty()) {
    console.Warn(source, "has no name that an archive's could follow from; name the archive with -o");
    return std::nullopt;
  }
  if (into_directory) return Join(*arguments.output, name + kSuffix);
  return WithoutTrailingSlashes(source) + kSuffix;
}

/// Removing a link, or one of several names, frees nothing and surprises: gzip refuses it too.
bool MayRemove(const std::string& source, const Arguments& arguments, Console& console) {
  struct stat status;
  if (!arguments.remove_source || arguments.force || lstat(source.c_str(), &status) != 0) return true;
  if (S_ISLNK(status.st_mode)) {
    console.Fail(source, "is a symbolic link, and --rm would remove the link only; use -f, or leave out --rm");
    return false;
  }
  if (S_ISREG(status.st_mode) && status.st_nlink > 1) {
    console.Warn(source, "has other hard links, so --rm would free nothing; use -f, or leave out --rm");
    return false;
  }
  return true;
}

void CompressTo(const Sources& sources, const std::string& target, const Arguments& arguments, Console& console) {
  const std::string& first = sources.front();
  if (target == kStream && !arguments.force && IsTerminal(STDOUT_FILENO)) {
    console.Warn(first, "an archive is not written to a terminal; name a file with -o, or use -f");
    return;
  }
  for (const std::string& source : sources) {
    if (!MayRemove(source, arguments, console)) return;
  }
  if (arguments.dry_run) {
    for (const std::string& source : sources) TellPlan(source, target, arguments, console);
    return;
  }
  std::optional<CompressSummary> summary =
      WriteOutput<CompressSummary>(first, target, arguments, console, [&](bool overwrite) {
        uint64_t passes = target == kStream || !arguments.verify ? 1 : 2;  // files are read back and compared
        ProgressBar bar(console.Label(first), passes, console.wants_progress());
        CompressOptions options;
        options.thread_count = arguments.thread_count;
        options.level = arguments.level;
        options.overwrite = overwrite;
        options.verify = arguments.verify;
        options.remove_source = arguments.remove_source;
        options.resume = arguments.resume;
        options.part_bytes = arguments.part_bytes.value_or(0);
        options.recovery_permille = arguments.recovery_permille;
        options.lossy = arguments.lossy;
        options.bases = arguments.bases;
        options.key_every = arguments.key_every;
        options.strip = arguments.strip;
        options.progress = bar.Callback();
        options.notice = TellNotices(first, bar, console);
        return Compress(sources, target, options);
      });
  if (summary.has_value()) Report(sources, target, *summary, arguments, console);
}

}  // namespace

void RunCompress(const std::string& file, const Arguments& arguments, Console& console) {
  std::optional<std::string> target = TargetOf(file, arguments, console);
  if (target.has_value()) CompressTo({file}, *target, arguments, console);
}

bool GoesIntoOneArchive(const Arguments& arguments) {
  if (arguments.verb != Verb::kCompress || arguments.files.size() < 2) return false;
  return arguments.to_stdout ||
         (arguments.output.has_value() && (*arguments.output == kStream || !NamesDirectory(*arguments.output)));
}

void RunCompressTogether(const Arguments& arguments, Console& console) {
  CompressTo(arguments.files, arguments.output.value_or(kStream), arguments, console);
}

}  // namespace flyweight::cli
