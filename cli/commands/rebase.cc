#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/lineage.h"

namespace flyweight::cli {

void RunRebase(const Arguments& arguments, Console& console) {
  Arguments found = arguments;
  const std::string& last = arguments.files.back();
  if (!FindBasesOf(last, found, console)) return;
  std::vector<std::string> lineage = found.bases;
  lineage.insert(lineage.end(), arguments.files.begin(), arguments.files.end());
  const std::string& target = *arguments.output;
  std::optional<CompressSummary> summary =
      WriteOutput<CompressSummary>(last, target, arguments, console, [&](bool overwrite) {
        ProgressBar bar(console.Label(last), 2, console.wants_progress());
        CompressOptions options;
        options.thread_count = arguments.thread_count;
        options.level = arguments.level;
        options.overwrite = overwrite;
        options.bases = arguments.onto;
        options.progress = bar.Callback();
        options.notice = TellNotices(last, bar, console);
        return Rebase(lineage, target, options);
      });
  if (!summary.has_value()) return;
  if (arguments.json) {
    console.Print(ToJsonLine({{"lineage", lineage},
                              {"onto", arguments.onto},
                              {"target", target},
                              {"source_bytes", summary->source_bytes},
                              {"archive_bytes", summary->archive_bytes}}));
    return;
  }
  console.Note(DisplayName(last) + ": " + HumanPercent(summary->archive_bytes, summary->source_bytes) + " (" +
               HumanBytes(summary->source_bytes) + " to " + HumanBytes(summary->archive_bytes) + "), written to " +
               target);
}

}  // namespace flyweight::cli
