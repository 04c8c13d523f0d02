#include "flyweight/patch.h"

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/progress.h"

namespace flyweight::cli {

void RunApply(const Arguments& arguments, Console& console) {
  std::vector<std::string> links = arguments.bases;  // found below --base-dir, else named in order
  links.insert(links.end(), arguments.files.begin(), arguments.files.end());
  const std::string& base = links.front();
  const std::string& last = links.back();
  std::vector<std::string> patches(links.begin() + 1, links.end());
  std::string target = arguments.to_stdout ? kStream : arguments.output.value_or(kStream);
  if (target != kStream && !arguments.output->ends_with('/')) target = WithoutTrailingSlashes(target);
  if (arguments.dry_run) return TellPlan(last, target, arguments, console);
  std::optional<DecompressSummary> summary =
      WriteOutput<DecompressSummary>(last, target, arguments, console, [&](bool overwrite) {
        ProgressBar bar(console.Label(last), 1, console.wants_progress());
        DecompressOptions options;
        options.thread_count = arguments.thread_count;
        options.overwrite = overwrite;
        options.max_output_bytes = arguments.max_output_bytes.value_or(UINT64_MAX);
        options.progress = bar.Callback();
        options.notice = TellNotices(last, bar, console);
        // Found below --base-dir to need no base: an archive by itself, as re-basing and pruning leave them.
        if (links.size() == 1 && !arguments.base_directories.empty()) return DecompressFile(last, target, options);
        return ApplyPatches(base, patches, target, options);
      });
  if (summary.has_value()) ReportRestored(last, target, *summary, arguments, console);
}

}  // namespace flyweight::cli
