#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {

void RunVerify(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  auto summary = [&] {
    ProgressBar bar(file, 1, console.wants_progress());
    return VerifyFile(file, arguments.thread_count, bar.Callback());
  }();
  if (arguments.json) {
    Json report = {{"path", file}, {"ok", summary.ok()}};
    if (summary.ok()) {
      report["archive_bytes"] = summary.value().archive_bytes;
      report["file_bytes"] = summary.value().file_bytes;
      report["chunk_count"] = summary.value().chunk_count;
    } else {
      report["error"] = summary.error().message;
      report["error_code"] = static_cast<int>(summary.error().code);
    }
    console.Print(ToJsonLine(report));
  }
  if (!summary.ok()) {
    console.Fail(file, summary.error());
    return;
  }
  bool wants_result = arguments.verbose || (IsTerminal(STDOUT_FILENO) && !arguments.quiet);
  if (arguments.json || !wants_result) return;
  console.Print(EscapeForTerminal(DisplayName(file)) + ": ok, " + HumanBytes(summary.value().file_bytes) + " in " +
                std::to_string(summary.value().chunk_count) + " chunks");
}

}  // namespace flyweight::cli
