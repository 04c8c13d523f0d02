#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {
namespace {

/// What --salvage could not save is an error, whatever else was saved.
void TellLost(const std::string& source, const LostContent& lost, Console& console) {
  std::string what = lost.tensor.empty() ? "bytes" : "tensor '" + lost.tensor + "', bytes";
  std::string where = lost.file.empty() ? "" : " of '" + lost.file + "'";
  console.Fail(source, "lost: " + what + " " + std::to_string(lost.file_offset) + " to " +
                           std::to_string(lost.file_offset + lost.size_bytes) + where + ": " + lost.reason);
}

Json LostJson(const std::vector<LostContent>& all) {
  Json json = Json::array();
  for (const LostContent& lost : all) {
    json.push_back({{"file", lost.file},
                    {"tensor", lost.tensor.empty() ? Json(nullptr) : Json(lost.tensor)},
                    {"offset", lost.file_offset},
                    {"bytes", lost.size_bytes},
                    {"reason", lost.reason}});
  }
  return json;
}

/// The name that follows from the archive's own.
std::optional<std::string> RestoredName(const std::string& archive, Console& console) {
  if (archive != kStream && HasSuffix(archive)) return WithoutSuffix(archive);
  console.Warn(archive, std::string("has not the suffix ") + kSuffix + "; name the output with -o, or use -c");
  return std::nullopt;
}

/// The target for an output that names a directory. As with cp, an existing one receives what is restored; the tree of
/// a directory goes into it only where a slash says so, else it becomes it.
std::optional<std::string> TargetInDirectory(const std::string& archive, const std::string& directory,
                                             Console& console) {
  Result<ArchiveListing> listing = ListArchive(archive);
  if (!listing.ok()) {
    console.Fail(archive, listing.error());
    return std::nullopt;
  }
  bool exists = IsDirectory(directory);
  if (listing.value().is_tree && !(exists && directory.ends_with('/'))) return WithoutTrailingSlashes(directory);
  if (!exists) {
    console.Fail(directory, "no such directory");
    return std::nullopt;
  }
  std::optional<std::string> name = RestoredName(archive, console);
  if (!name.has_value()) return std::nullopt;
  return Join(directory, BaseNameOf(*name));
}

std::optional<std::string> TargetOf(const std::string& archive, const Arguments& arguments, Console& console) {
  if (arguments.output.has_value() && *arguments.output != kStream && NamesDirectory(*arguments.output) &&
      archive != kStream) {
    return TargetInDirectory(archive, *arguments.output, console);
  }
  if (arguments.output.has_value()) return arguments.output;
  if (arguments.to_stdout || archive == kStream) return std::string(kStream);
  return RestoredName(archive, console);
}

}  // namespace

void ReportRestored(const std::string& source, const std::string& target, const DecompressSummary& summary,
                    const Arguments& arguments, Console& console) {
  for (const LostContent& lost : summary.lost) TellLost(source, lost, console);
  if (arguments.json) {
    Json report = {{"source", source},
                   {"target", target},
                   {"archive_bytes", summary.archive_bytes},
                   {"file_bytes", summary.file_bytes},
                   {"file_count", summary.file_count}};
    if (arguments.salvage) report["lost"] = LostJson(summary.lost);
    console.Print(ToJsonLine(report));
    return;
  }
  std::string written = target == kStream ? "" : ", written to " + target;
  console.Note(DisplayName(source) + ": " + HumanBytes(summary.archive_bytes) + " to " +
               HumanBytes(summary.file_bytes) + written);
}

void RunDecompress(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  std::optional<std::string> target = TargetOf(file, arguments, console);
  if (!target.has_value()) return;
  if (arguments.dry_run) return TellPlan(file, *target, arguments, console);
  RestoreMembers(file, *target, {}, arguments, console);
}

void RestoreMembers(const std::string& archive, const std::string& target, const std::vector<std::string>& members,
                    const Arguments& arguments, Console& console) {
  std::optional<DecompressSummary> summary =
      WriteOutput<DecompressSummary>(archive, target, arguments, console, [&](bool overwrite) {
        ProgressBar bar(console.Label(archive), 1, console.wants_progress());
        DecompressOptions options;
        options.thread_count = arguments.thread_count;
        options.overwrite = overwrite;
        options.salvage = arguments.salvage;
        options.max_output_bytes = arguments.max_output_bytes.value_or(UINT64_MAX);
        options.members = members;
        options.bases = arguments.bases;
        options.progress = bar.Callback();
        options.notice = TellNotices(archive, bar, console);
        return DecompressFile(archive, target, options);
      });
  if (summary.has_value()) ReportRestored(archive, target, *summary, arguments, console);
}

}  // namespace flyweight::cli
