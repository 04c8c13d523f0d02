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

void Report(const std::string& source, const std::string& target, const CompressSummary& summary,
            const Arguments& arguments, Console& console) {
  if (arguments.json) {
    console.Print(ToJsonLine({{"source", source},
                              {"target", target},
                              {"source_bytes", summary.source_bytes},
                              {"archive_bytes", summary.archive_bytes},
                              {"tensor_count", summary.tensor_count}}));
    return;
  }
  std::string written = target == kStream ? "" : ", written to " + target;
  console.Note(DisplayName(source) + ": " + HumanPercent(summary.archive_bytes, summary.source_bytes) + " (" +
               HumanBytes(summary.source_bytes) + " to " + HumanBytes(summary.archive_bytes) + ")" + written);
}

}  // namespace

void RunCompress(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  std::optional<std::string> explicit_output = ExplicitOutput(file, arguments);
  if (!arguments.output.has_value() && HasSuffix(file)) {
    console.Warn(file, std::string("already has the suffix ") + kSuffix + "; unchanged");
    return;
  }
  std::string target = explicit_output.value_or(file + kSuffix);
  if (target == kStream && !arguments.force && IsTerminal(STDOUT_FILENO)) {
    console.Warn(file, "an archive is not written to a terminal; name a file with -o, or use -f");
    return;
  }
  std::optional<CompressSummary> summary =
      WriteOutput<CompressSummary>(file, target, arguments, console, [&](bool overwrite) {
        uint64_t passes = target == kStream ? 1 : 2;  // files are read back and compared
        ProgressBar bar(file, passes, console.wants_progress());
        CompressOptions options;
        options.thread_count = arguments.thread_count;
        options.overwrite = overwrite;
        options.progress = bar.Callback();
        return CompressFile(file, target, options);
      });
  if (summary.has_value()) Report(file, target, *summary, arguments, console);
}

}  // namespace flyweight::cli
