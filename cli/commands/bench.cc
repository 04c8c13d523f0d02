#include "flyweight/bench.h"

#include <cstdio>

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

double MegabytesPerSecond(const BenchRow& row, double seconds) {
  constexpr double kMega = 1e6;
  return seconds <= 0 ? 0 : static_cast<double>(row.source_bytes) / seconds / kMega;
}

void PrintJson(const std::string& file, const BenchReport& report, Console& console) {
  Json rows = Json::array();
  for (const BenchRow& row : report.rows) {
    rows.push_back({{"name", row.name},
                    {"source_bytes", row.source_bytes},
                    {"stored_bytes", row.stored_bytes},
                    {"ratio", row.ratio},
                    {"encode_mb_s", MegabytesPerSecond(row, row.encode_seconds)},
                    {"decode_mb_s", MegabytesPerSecond(row, row.decode_seconds)}});
  }
  console.Print(ToJsonLine({{"path", file},
                            {"container_format", report.container_format},
                            {"file_bytes", report.file_bytes},
                            {"sample_bytes", report.sample_bytes},
                            {"rows", rows}}));
}

std::string SpeedText(double megabytes_per_second) {
  constexpr double kFewMegabytes = 10;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f MB/s", megabytes_per_second < kFewMegabytes ? 1 : 0, megabytes_per_second);
  return megabytes_per_second == 0 ? "-" : text;
}

void PrintText(const std::string& file, const BenchReport& report, Console& console) {
  bool is_whole = report.sample_bytes == report.file_bytes;
  console.Print(EscapeForTerminal(file) + ": " + report.container_format + ", " + HumanBytes(report.file_bytes) +
                (is_whole ? "" : ", of which a sample of " + HumanBytes(report.sample_bytes)));
  Table table("lrrrl");
  table.Add({"", "size", "compress", "decompress", ""});
  for (const BenchRow& row : report.rows) {
    char size[32];
    std::snprintf(size, sizeof size, "%.2f%%", 100 * row.ratio);
    bool is_part = row.source_bytes < report.sample_bytes;
    table.Add({row.name, report.sample_bytes == 0 ? "-" : size, SpeedText(MegabytesPerSecond(row, row.encode_seconds)),
               SpeedText(MegabytesPerSecond(row, row.decode_seconds)),
               is_part ? "tried on " + HumanBytes(row.source_bytes) : ""});
  }
  table.Print(console);
  console.Print("one core, CPU time, in memory; what came back was compared with the file");
}

}  // namespace

void RunBench(const std::string& file, const Arguments& arguments, Console& console) {
  Result<bool> is_archive = IsArchive(file);
  if (is_archive.ok() && is_archive.value()) return console.Warn(file, "is an archive; bench is for what it holds");
  Result<BenchReport> report = [&] {
    ProgressBar bar(console.Label(file), 1, console.wants_progress());
    BenchOptions options;
    if (!arguments.levels.empty()) options.levels = arguments.levels;
    options.progress = bar.Callback();
    return BenchFile(file, options);
  }();
  if (!report.ok()) return console.Fail(file, report.error());
  if (arguments.json) return PrintJson(file, report.value(), console);
  PrintText(file, report.value(), console);
}

}  // namespace flyweight::cli
