#include "flyweight/repair.h"

#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

Json RangesJson(const std::vector<ArchiveRange>& ranges) {
  Json json = Json::array();
  for (const ArchiveRange& range : ranges) json.push_back({{"offset", range.offset}, {"bytes", range.size_bytes}});
  return json;
}

void PrintJson(const std::string& file, const std::string& target, const RepairReport& report, const Status& status,
               Console& console) {
  Json json = {{"source", file},
               {"target", target},
               {"ok", status.ok()},
               {"was_damaged", report.found_damage()},
               {"archive_bytes", report.archive_bytes},
               {"has_parity", report.has_parity},
               {"block_bytes", report.block_bytes},
               {"block_count", report.block_count},
               {"damaged_blocks", report.damaged_blocks},
               {"blocks_from_parity", report.blocks_from_parity},
               {"blocks_from_other", report.blocks_from_other},
               {"extra_bytes", report.extra_bytes},
               {"repairs", report.repairs},
               {"lost", RangesJson(report.lost)},
               {"lacks_base", report.lacks_base}};
  if (!status.ok()) {
    json["error"] = status.error().message;
    json["error_code"] = static_cast<int>(status.error().code);
  }
  console.Print(ToJsonLine(json));
}

/// "header, 3 of 1200 blocks from parity".
std::string WhatWasDone(const RepairReport& report) {
  std::string text;
  auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (const std::string& repair : report.repairs) add(repair);
  std::string of = " of " + std::to_string(report.block_count) + " blocks";
  if (report.blocks_from_parity != 0) add(std::to_string(report.blocks_from_parity) + of + " from parity");
  if (report.blocks_from_other != 0) add(std::to_string(report.blocks_from_other) + of + " from the second copy");
  if (report.extra_bytes != 0) add(std::to_string(report.extra_bytes) + " bytes behind the end dropped");
  return text;
}

void PrintText(const std::string& file, const std::string& target, const RepairReport& report, Console& console) {
  std::string written = target == file ? "" : ", written to " + target;
  std::string what = report.found_damage() ? "repaired (" + WhatWasDone(report) + ")" : "nothing is damaged";
  std::string unchecked =
      report.lacks_base ? "; it is a patch, of which without its base only what is stored was checked" : "";
  console.Note(file + ": " + what + written + unchecked);
}

std::string RangesText(const std::vector<ArchiveRange>& ranges) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(kShown, ranges.size()); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(ranges[i].offset) + "+" + std::to_string(ranges[i].size_bytes);
  }
  return ranges.size() > kShown ? text + " and " + std::to_string(ranges.size() - kShown) + " more" : text;
}

std::string TargetOf(const std::string& file, const Arguments& arguments) {
  if (!arguments.output.has_value()) return file;
  return NamesDirectory(*arguments.output) ? Join(*arguments.output, BaseNameOf(file)) : *arguments.output;
}

}  // namespace

void RunRepair(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  std::string target = TargetOf(file, arguments);
  RepairReport report;
  auto repair = [&](bool overwrite) {
    ProgressBar bar(console.Label(file), 1, console.wants_progress());
    RepairOptions options;
    options.thread_count = arguments.thread_count;
    options.overwrite = overwrite;
    options.other = arguments.from.value_or("");
    options.bases = arguments.bases;
    options.progress = bar.Callback();
    report = {};
    return RepairFile(file, target, options, report);
  };
  Status status = repair(arguments.force);
  if (!status.ok() && status.error().code == ErrorCode::kExists && target != file && !arguments.force &&
      Exists(target)) {
    if (!console.Confirm(target + " already exists; overwrite?")) return TellExists(target, console);
    status = repair(true);
  }
  if (arguments.json) PrintJson(file, target, report, status, console);
  if (status.ok()) {
    if (!arguments.json) PrintText(file, target, report, console);
    return;
  }
  Error error = status.error();
  if (!report.lost.empty()) error.message += "; lost (offset+bytes): " + RangesText(report.lost);
  console.Fail(file, error);
}

}  // namespace flyweight::cli
