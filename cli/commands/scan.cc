#include "flyweight/scan.h"

#include <map>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

struct Sum {
  uint64_t tensor_count = 0;
  uint64_t size_bytes = 0;
  uint64_t estimated_bytes = 0;
};

/// By dtype; bytes of no tensor under "".
std::map<std::string, Sum> SumByDType(const ScanReport& report) {
  std::map<std::string, Sum> sums;
  for (const ScannedExtent& extent : report.extents) {
    Sum& sum = sums[extent.is_tensor ? std::string(Describe(extent.dtype).name) : ""];
    sum.tensor_count += extent.is_tensor;
    sum.size_bytes += extent.size_bytes;
    sum.estimated_bytes += extent.estimated_bytes;
  }
  return sums;
}

void PrintJson(const std::string& file, const ScanReport& report, const Arguments& arguments, Console& console) {
  Json json = {{"path", file},
               {"container_format", report.container_format},
               {"file_bytes", report.file_bytes},
               {"estimated_bytes", report.estimated_bytes},
               {"sampled_bytes", report.sampled_bytes}};
  Json dtypes = Json::object();
  uint64_t tensor_count = 0;
  for (const auto& [dtype, sum] : SumByDType(report)) {
    tensor_count += sum.tensor_count;
    dtypes[dtype.empty() ? "other" : dtype] = {
        {"tensor_count", sum.tensor_count}, {"bytes", sum.size_bytes}, {"estimated_bytes", sum.estimated_bytes}};
  }
  json["tensor_count"] = tensor_count;
  json["dtypes"] = dtypes;
  if (arguments.verbose) {
    json["tensors"] = Json::array();
    for (const ScannedExtent& extent : report.extents) {
      if (!extent.is_tensor) continue;
      json["tensors"].push_back({{"name", extent.name},
                                 {"dtype", Describe(extent.dtype).name},
                                 {"shape", extent.shape},
                                 {"bytes", extent.size_bytes},
                                 {"estimated_bytes", extent.estimated_bytes}});
    }
  }
  console.Print(ToJsonLine(json));
}

void PrintTensors(const ScanReport& report, Console& console) {
  Table table("lllrrr");
  table.Add({"name", "dtype", "shape", "size", "about", "%"});
  for (const ScannedExtent& extent : report.extents) {
    if (!extent.is_tensor) continue;
    table.Add({EscapeForTerminal(extent.name), std::string(Describe(extent.dtype).name), ShapeText(extent.shape),
               HumanBytes(extent.size_bytes), HumanBytes(extent.estimated_bytes),
               HumanPercent(extent.estimated_bytes, extent.size_bytes)});
  }
  table.Print(console);
}

void PrintText(const std::string& file, const ScanReport& report, Console& console) {
  console.Print(EscapeForTerminal(file) + ": " + report.container_format);
  Table table("lrrrr");
  table.Add({"", "tensors", "size", "about", "%"});
  for (const auto& [dtype, sum] : SumByDType(report)) {
    table.Add({dtype.empty() ? "(other bytes)" : dtype, dtype.empty() ? "" : std::to_string(sum.tensor_count),
               HumanBytes(sum.size_bytes), HumanBytes(sum.estimated_bytes),
               HumanPercent(sum.estimated_bytes, sum.size_bytes)});
  }
  table.Add({"total", "", HumanBytes(report.file_bytes), HumanBytes(report.estimated_bytes),
             HumanPercent(report.estimated_bytes, report.file_bytes)});
  table.Print(console);
}

}  // namespace

void RunScan(const std::string& file, const Arguments& arguments, Console& console) {
  Result<bool> is_archive = IsArchive(file);
  if (is_archive.ok() && is_archive.value()) {
    console.Warn(file, "is an archive already; flyweight info tells its size");
    return;
  }
  Result<ScanReport> report = [&] {
    ProgressBar bar(console.Label(file), 1, console.wants_progress());
    return ScanFile(file, {.thread_count = arguments.thread_count, .progress = bar.Callback()});
  }();
  if (!report.ok()) return console.Fail(file, report.error());
  if (arguments.json) return PrintJson(file, report.value(), arguments, console);
  PrintText(file, report.value(), console);
  if (arguments.verbose) PrintTensors(report.value(), console);
}

}  // namespace flyweight::cli
