#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/lineage.h"

namespace flyweight::cli {
namespace {

std::string LineOf(const PruneStep& step, bool dry_run) {
  std::string path = EscapeForTerminal(step.path);
  if (step.is_removed) return (dry_run ? "would remove " : "removed ") + path + " (" + HumanBytes(step.old_bytes) + ")";
  std::string onto = step.onto.empty() ? "without a base" : "on " + EscapeForTerminal(step.onto);
  if (dry_run) {
    return "would pack anew " + path + " " + onto + " (" + HumanBytes(step.old_bytes) + " to about " +
           HumanBytes(step.new_bytes) + ")";
  }
  return "packed anew " + path + " " + onto + " (" + HumanBytes(step.old_bytes) + " to " + HumanBytes(step.new_bytes) +
         ")";
}

Json DescribeStep(const PruneStep& step) {
  Json json = {{"path", step.path}, {"action", step.is_removed ? "remove" : "rebase"}, {"old_bytes", step.old_bytes}};
  if (!step.is_removed) {
    json["onto"] = step.onto.empty() ? Json(nullptr) : Json(step.onto);
    json["new_bytes"] = step.new_bytes;
  }
  return json;
}

}  // namespace

void RunPrune(const Arguments& arguments, Console& console) {
  const std::string& directory = arguments.files.front();
  Result<PruneReport> pruned = [&] {
    ProgressBar bar(console.Label(directory), 2, console.wants_progress());
    PruneOptions options;
    options.keep.assign(arguments.files.begin() + 1, arguments.files.end());
    options.keep_last = arguments.keep_last;
    options.base_directories = arguments.base_directories;
    options.dry_run = arguments.dry_run;
    options.thread_count = arguments.thread_count;
    options.level = arguments.level;
    options.progress = bar.Callback();
    options.notice = TellNotices(directory, bar, console);
    return Prune(directory, options);
  }();
  if (!pruned.ok()) return console.Fail(directory, pruned.error());
  const PruneReport& report = pruned.value();
  if (arguments.json) {
    Json json = {{"directory", directory},
                 {"dry_run", arguments.dry_run},
                 {"kept_count", report.kept_count},
                 {"freed_bytes", static_cast<int64_t>(report.freed_bytes)},
                 {"steps", Json::array()}};
    for (const PruneStep& step : report.steps) json["steps"].push_back(DescribeStep(step));
    return console.Print(ToJsonLine(json));
  }
  for (const PruneStep& step : report.steps) console.Print(LineOf(step, arguments.dry_run));
  if (report.steps.empty()) console.Print("nothing to remove");
}

}  // namespace flyweight::cli
