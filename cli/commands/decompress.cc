#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {
namespace {

void Report(const std::string& source, const std::string& target, const DecompressSummary& summary,
            const Arguments& arguments, Console& console) {
  if (arguments.json) {
    console.Print(ToJsonLine({{"source", source},
                              {"target", target},
                              {"archive_bytes", summary.archive_bytes},
                              {"file_bytes", summary.file_bytes}}));
    return;
  }
  std::string written = target == kStream ? "" : ", written to " + target;
  console.Note(DisplayName(source) + ": " + HumanBytes(summary.archive_bytes) + " to " +
               HumanBytes(summary.file_bytes) + written);
}

}  // namespace

void RunDecompress(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  std::optional<std::string> explicit_output = ExplicitOutput(file, arguments);
  if (!explicit_output.has_value() && !HasSuffix(file)) {
    console.Warn(file, std::string("has not the suffix ") + kSuffix + "; name the output with -o, or use -c");
    return;
  }
  std::string target =
      explicit_output.has_value() ? *explicit_output : file.substr(0, file.size() - std::string(kSuffix).size());
  std::optional<DecompressSummary> summary =
      WriteOutput<DecompressSummary>(file, target, arguments, console, [&](bool overwrite) {
        ProgressBar bar(file, 1, console.wants_progress());
        DecompressOptions options;
        options.thread_count = arguments.thread_count;
        options.overwrite = overwrite;
        options.progress = bar.Callback();
        return DecompressFile(file, target, options);
      });
  if (summary.has_value()) Report(file, target, *summary, arguments, console);
}

}  // namespace flyweight::cli
