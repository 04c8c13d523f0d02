#include "flyweight/scan.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr size_t kBalanced = static_cast<size_t>(Level::kBalanced);
constexpr size_t kMostRows = 24;  // without -v

/// Some extents together.
struct Sum {
  std::string name;
  const ScannedExtent* first = nullptr;
  uint64_t tensor_count = 0;
  uint64_t size_bytes = 0;
  BytesByLevel estimated_bytes{};
  std::map<std::string, uint64_t> bytes_by_reason;

  void Add(const ScannedExtent& extent) {
    if (first == nullptr) first = &extent;
    tensor_count += extent.is_tensor;
    size_bytes += extent.size_bytes;
    for (size_t i = 0; i < kLevelCount; ++i) estimated_bytes[i] += extent.estimated_bytes[i];
    bytes_by_reason[extent.reason] += extent.size_bytes;
  }

  const std::string& Reason() const {
    return std::ranges::max_element(bytes_by_reason, {}, [](const auto& row) { return row.second; })->first;
  }
};

/// By dtype; bytes of no tensor under "".
std::map<std::string, Sum> SumByDType(const ScanReport& report) {
  std::map<std::string, Sum> sums;
  for (const ScannedExtent& extent : report.extents) {
    sums[extent.is_tensor ? std::string(Describe(extent.dtype).name) : ""].Add(extent);
  }
  return sums;
}

/// Tensors that differ only in numbers in their names, other bytes by file; the largest first.
std::vector<Sum> SumByKind(const ScanReport& report) {
  std::map<std::tuple<std::string, bool, DType, Shape, bool>, Sum> sums;
  for (const ScannedExtent& extent : report.extents) {
    std::string name = extent.is_tensor ? extent.kind : "(" + report.files[extent.file] + ")";
    Sum& sum = sums[{name, extent.is_tensor, extent.dtype, extent.shape, extent.same_as.has_value()}];
    sum.Add(extent);
    sum.name = sum.tensor_count == 1 ? extent.name : name;
  }
  std::vector<Sum> rows;
  rows.reserve(sums.size());
  for (auto& [key, sum] : sums) rows.push_back(std::move(sum));
  std::ranges::stable_sort(rows, std::ranges::greater(), &Sum::size_bytes);
  return rows;
}

Json DescribeLevels(const BytesByLevel& estimated_bytes) {
  Json levels = Json::object();
  for (Level level : kAllLevels) levels[std::string(LevelName(level))] = estimated_bytes[static_cast<size_t>(level)];
  return levels;
}

Json DescribeTensors(const ScanReport& report) {
  Json tensors = Json::array();
  for (const ScannedExtent& extent : report.extents) {
    if (!extent.is_tensor) continue;
    Json tensor = {{"name", extent.name},
                   {"dtype", Describe(extent.dtype).name},
                   {"shape", extent.shape},
                   {"bytes", extent.size_bytes},
                   {"estimated_bytes", extent.estimated_bytes[kBalanced]},
                   {"levels", DescribeLevels(extent.estimated_bytes)},
                   {"reason", extent.reason}};
    if (report.is_tree) tensor["file"] = report.files[extent.file];
    if (extent.same_as.has_value()) tensor["same_as"] = report.extents[*extent.same_as].name;
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void PrintJson(const std::string& file, const ScanReport& report, const Arguments& arguments, Console& console) {
  Json json = {{"path", file},
               {"container_format", report.container_format},
               {"file_bytes", report.file_bytes},
               {"estimated_bytes", report.estimated_bytes[kBalanced]},
               {"levels", DescribeLevels(report.estimated_bytes)},
               {"sampled_bytes", report.sampled_bytes}};
  if (report.is_tree) json["file_count"] = report.files.size();
  Json dtypes = Json::object();
  uint64_t tensor_count = 0;
  for (const auto& [dtype, sum] : SumByDType(report)) {
    tensor_count += sum.tensor_count;
    dtypes[dtype.empty() ? "other" : dtype] = {{"tensor_count", sum.tensor_count},
                                               {"bytes", sum.size_bytes},
                                               {"estimated_bytes", sum.estimated_bytes[kBalanced]},
                                               {"levels", DescribeLevels(sum.estimated_bytes)}};
  }
  json["tensor_count"] = tensor_count;
  json["dtypes"] = dtypes;
  json["kinds"] = Json::array();
  for (const Sum& sum : SumByKind(report)) {
    json["kinds"].push_back({{"name", sum.name},
                             {"tensor_count", sum.tensor_count},
                             {"bytes", sum.size_bytes},
                             {"levels", DescribeLevels(sum.estimated_bytes)},
                             {"reason", sum.Reason()}});
  }
  if (arguments.verbose) json["tensors"] = DescribeTensors(report);
  console.Print(ToJsonLine(json));
}

std::vector<std::string> PercentCells(const BytesByLevel& estimated_bytes, uint64_t size_bytes) {
  std::vector<std::string> cells;
  for (uint64_t bytes : estimated_bytes) cells.push_back(HumanPercent(bytes, size_bytes));
  return cells;
}

/// A row of one table: name, dtype and shape where there is one, size, levels and why.
void AddRow(Table& table, const std::string& name, const ScannedExtent& extent, const Sum& sum) {
  std::vector<std::string> row = {EscapeForTerminal(name),
                                  extent.is_tensor ? std::string(Describe(extent.dtype).name) : "",
                                  extent.is_tensor ? ShapeText(extent.shape) : "", HumanBytes(sum.size_bytes)};
  std::ranges::copy(PercentCells(sum.estimated_bytes, sum.size_bytes), std::back_inserter(row));
  row.push_back(EscapeForTerminal(sum.Reason()));
  table.Add(std::move(row));
}

Table TableOfTensors() {
  Table table("lllrrrrrl");
  table.Add({"name", "dtype", "shape", "size", "fast", "balanced", "high", "max", "why"});
  return table;
}

void PrintKinds(const ScanReport& report, Console& console) {
  std::vector<Sum> sums = SumByKind(report);
  Table table = TableOfTensors();
  size_t shown = std::min(sums.size(), kMostRows);
  for (size_t i = 0; i < shown; ++i) {
    std::string times = sums[i].tensor_count > 1 ? " x " + std::to_string(sums[i].tensor_count) : "";
    AddRow(table, sums[i].name + times, *sums[i].first, sums[i]);
  }
  table.Print(console);
  if (shown == sums.size()) return;
  uint64_t rest_bytes = 0;
  for (size_t i = shown; i < sums.size(); ++i) rest_bytes += sums[i].size_bytes;
  console.Print("and " + std::to_string(sums.size() - shown) + " smaller kinds, " + HumanBytes(rest_bytes) +
                "; -v shows each tensor");
}

void PrintTensors(const ScanReport& report, Console& console) {
  Table table = TableOfTensors();
  for (const ScannedExtent& extent : report.extents) {
    if (!extent.is_tensor) continue;
    Sum sum;
    sum.Add(extent);
    AddRow(table, report.is_tree ? report.files[extent.file] + ":" + extent.name : extent.name, extent, sum);
  }
  table.Print(console);
}

void PrintTotals(const ScanReport& report, Console& console) {
  Table table("lrr");
  for (Level level : kAllLevels) {
    uint64_t bytes = report.estimated_bytes[static_cast<size_t>(level)];
    table.Add({(level == Level::kBalanced ? "balanced (default)" : std::string(LevelName(level))),
               "about " + HumanBytes(bytes), HumanPercent(bytes, report.file_bytes)});
  }
  table.Print(console);
}

void PrintText(const std::string& file, const ScanReport& report, const Arguments& arguments, Console& console) {
  uint64_t tensor_count = 0;
  for (const ScannedExtent& extent : report.extents) tensor_count += extent.is_tensor;
  std::string what = report.is_tree ? "directory, " + std::to_string(report.files.size()) + " entries, " : "";
  what += report.is_tree ? "" : report.container_format + ", ";
  console.Print(EscapeForTerminal(file) + ": " + what + std::to_string(tensor_count) + " tensors, " +
                HumanBytes(report.file_bytes) + ", of which " + HumanBytes(report.sampled_bytes) + " were tried");
  PrintTotals(report, console);
  if (report.extents.empty()) return;
  console.Print("");
  if (arguments.verbose) {
    PrintTensors(report, console);
  } else {
    PrintKinds(report, console);
  }
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
    ScanOptions options;
    options.thread_count = arguments.thread_count;
    options.progress = bar.Callback();
    options.notice = TellNotices(file, bar, console);
    return ScanFile(file, options);
  }();
  if (!report.ok()) return console.Fail(file, report.error());
  if (arguments.json) return PrintJson(file, report.value(), arguments, console);
  PrintText(file, report.value(), arguments, console);
}

}  // namespace flyweight::cli
