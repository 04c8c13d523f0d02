#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {
namespace {

VerifyOptions OptionsOf(const Arguments& arguments, ProgressCallback progress) {
  VerifyOptions options;
  options.thread_count = arguments.thread_count;
  options.progress = std::move(progress);
  options.bases = arguments.bases;
  if (arguments.fast) options.mode = VerifyMode::kFast;
  if (arguments.sample_fraction.has_value()) {
    options.mode = VerifyMode::kSample;
    options.sample_fraction = *arguments.sample_fraction;
  }
  return options;
}

const char* ModeName(const Arguments& arguments) {
  if (arguments.fast) return "fast";
  return arguments.sample_fraction.has_value() ? "sample" : "full";
}

/// How likely this sample had met damage to one chunk in a hundred, but at least to one.
double DetectionOfOnePercent(const VerifySummary& summary) {
  uint64_t damaged_count = std::max<uint64_t>(1, summary.chunk_count / 100);
  return DetectionProbability(summary.chunk_count, summary.checked_count, damaged_count);
}

void PrintJson(const std::string& file, const Result<VerifySummary>& summary, const Arguments& arguments,
               Console& console) {
  Json report = {{"path", file}, {"ok", summary.ok()}, {"mode", ModeName(arguments)}};
  if (summary.ok()) {
    report["archive_bytes"] = summary.value().archive_bytes;
    report["file_bytes"] = summary.value().file_bytes;
    report["file_count"] = summary.value().file_count;
    report["chunk_count"] = summary.value().chunk_count;
    report["checked_count"] = summary.value().checked_count;
    report["part_count"] = summary.value().part_count;
    report["has_parity"] = summary.value().has_parity;
    report["lacks_base"] = summary.value().lacks_base;
    if (arguments.sample_fraction.has_value()) report["detection_probability"] = DetectionOfOnePercent(summary.value());
  } else {
    report["error"] = summary.error().message;
    report["error_code"] = static_cast<int>(summary.error().code);
  }
  console.Print(ToJsonLine(report));
}

std::string ResultText(const VerifySummary& summary, const Arguments& arguments) {
  std::string chunks = std::to_string(summary.chunk_count) + " chunks";
  if (summary.lacks_base) {
    return "ok as it is stored, " + chunks + "; it is a patch, and nothing was decoded without its base (--base)";
  }
  if (arguments.fast) return "ok as it is stored, " + chunks + "; nothing was decoded";
  if (!arguments.sample_fraction.has_value()) return "ok, " + HumanBytes(summary.file_bytes) + " in " + chunks;
  char percent[32];
  std::snprintf(percent, sizeof percent, "%.1f%%", std::floor(DetectionOfOnePercent(summary) * 1000) / 10);
  return "ok as far as looked: " + std::to_string(summary.checked_count) + " of " + chunks +
         "; damage to 1% of them (at least one) would have been found with a probability of " + percent;
}

/// An archive that verifies may still not be what was compressed: said on standard output, and a warning by --strict.
void TellLosses(const std::string& file, const Arguments& arguments, Console& console) {
  Result<ArchiveListing> listing = file == kStream ? ArchiveListing() : ListArchive(file);
  if (!listing.ok()) return console.Fail(file, listing.error());
  for (const std::string& line : LossLines(listing.value())) {
    if (!arguments.json) console.Print(EscapeForTerminal(file) + ": " + line);
    if (arguments.strict) console.Warn(file, line);
  }
}

}  // namespace

void RunVerify(const std::string& file, const Arguments& arguments, Console& console) {
  if (RefuseDirectory(file, console)) return;
  auto summary = [&] {
    ProgressBar bar(console.Label(file), 1, console.wants_progress());
    return VerifyFile(file, OptionsOf(arguments, bar.Callback()));
  }();
  if (arguments.json) PrintJson(file, summary, arguments, console);
  if (!summary.ok()) {
    console.Fail(file, summary.error());
    return;
  }
  TellLosses(file, arguments, console);
  // What was not looked at has to be said.
  bool is_partial = summary.value().lacks_base || arguments.fast || arguments.sample_fraction.has_value();
  bool wants_result = arguments.verbose || ((is_partial || IsTerminal(STDOUT_FILENO)) && !arguments.quiet);
  if (arguments.json || !wants_result) return;
  console.Print(EscapeForTerminal(DisplayName(file)) + ": " + ResultText(summary.value(), arguments));
}

}  // namespace flyweight::cli
