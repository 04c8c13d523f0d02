#include "flyweight/diff.h"

#include <algorithm>
#include <cstdio>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr size_t kMostRows = 24;  // without -v

std::string Number(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string KeyOf(const TensorDiff& tensor) {
  return tensor.file.empty() ? tensor.name : tensor.file + ":" + tensor.name;
}

std::string TypeText(const TensorDiff& tensor) {
  std::string dtype(Describe(tensor.dtype).name);
  if (tensor.dtype == tensor.base_dtype) return dtype;
  return std::string(Describe(tensor.base_dtype).name) + " to " + dtype;
}

std::string ShapesText(const TensorDiff& tensor) {
  if (tensor.shape == tensor.base_shape) return ShapeText(tensor.shape);
  return ShapeText(tensor.base_shape) + " to " + ShapeText(tensor.shape);
}

std::string ChangedText(const TensorDiff& tensor) {
  if (tensor.compared_count == 0) return "";
  double percent = 100.0 * static_cast<double>(tensor.changed_count) / static_cast<double>(tensor.compared_count);
  // Of a tensor that changed "0.0%" would say that it did not.
  return percent > 0 && percent < 0.05 ? "<0.1%" : Number("%.1f%%", percent);
}

double Change(const TensorDiff& tensor) {
  if (tensor.kind != DiffKind::kChanged) return 2;  // stands in front
  return static_cast<double>(tensor.changed_count) / static_cast<double>(tensor.compared_count);
}

void PrintTensors(const DiffReport& report, bool all, Console& console) {
  std::vector<const TensorDiff*> rows;
  for (const TensorDiff& tensor : report.tensors) {
    if (all || tensor.kind != DiffKind::kSame) rows.push_back(&tensor);
  }
  if (rows.empty()) return;
  size_t shown = rows.size();
  if (!all && rows.size() > kMostRows) {
    std::ranges::sort(rows, [](const auto* a, const auto* b) {
      return Change(*a) != Change(*b) ? Change(*a) > Change(*b) : a < b;  // they lie in one vector
    });
    shown = kMostRows;
  }
  Table table("llllrrrl");
  table.Add({"", "name", "dtype", "shape", "changed", "max ulps", "rms/rms", ""});
  for (size_t i = 0; i < shown; ++i) {
    const TensorDiff& tensor = *rows[i];
    bool has_values = tensor.has_values && tensor.changed_count > 0;
    table.Add({std::string(DiffKindName(tensor.kind)), EscapeForTerminal(KeyOf(tensor)), TypeText(tensor),
               ShapesText(tensor), ChangedText(tensor),
               has_values && tensor.dtype == tensor.base_dtype ? std::to_string(tensor.largest_ulps) : "",
               has_values ? Number("%.2e", tensor.relative_difference) : "",
               tensor.base_name.empty() ? "" : "was " + EscapeForTerminal(tensor.base_name)});
  }
  table.Print(console);
  if (shown < rows.size()) {
    console.Print("... and " + std::to_string(rows.size() - shown) + " more tensors; -v shows them");
  }
  console.Print("");
}

void PrintFiles(const DiffReport& report, Console& console) {
  for (const FileDiff& file : report.files) {
    std::string name = EscapeForTerminal(file.name);
    std::string what = file.is_rest ? "what is not tensors in " + name : "file " + name;
    console.Print(std::string(DiffKindName(file.kind)) + "  " + what);
  }
  if (!report.files.empty()) console.Print("");
}

void PrintText(const DiffReport& report, const Arguments& arguments, Console& console) {
  PrintTensors(report, arguments.verbose, console);
  PrintFiles(report, console);
  std::string counts;
  for (size_t kind = 0; kind < kDiffKindCount; ++kind) {
    if (report.tensor_counts[kind] == 0) continue;
    counts += (counts.empty() ? "" : ", ") + std::to_string(report.tensor_counts[kind]) + " " +
              std::string(DiffKindName(static_cast<DiffKind>(kind))) + " (" + HumanBytes(report.tensor_bytes[kind]) +
              ")";
  }
  console.Print("tensors: " + (counts.empty() ? "none" : counts));
  if (report.is_same()) console.Print("no difference");
}

Json DescribeTensor(const TensorDiff& tensor) {
  Json json = {{"name", tensor.name},
               {"kind", DiffKindName(tensor.kind)},
               {"dtype", Describe(tensor.dtype).name},
               {"shape", tensor.shape},
               {"bytes", tensor.size_bytes}};
  if (!tensor.file.empty()) json["file"] = tensor.file;
  if (!tensor.base_name.empty()) json["base_name"] = tensor.base_name;
  if (tensor.base_dtype != tensor.dtype) json["base_dtype"] = Describe(tensor.base_dtype).name;
  if (tensor.base_shape != tensor.shape) json["base_shape"] = tensor.base_shape;
  if (tensor.compared_count == 0) return json;
  json["compared_count"] = tensor.compared_count;
  json["changed_count"] = tensor.changed_count;
  if (!tensor.has_values) return json;
  if (tensor.base_dtype == tensor.dtype) json["largest_ulps"] = tensor.largest_ulps;
  json["largest_difference"] = tensor.largest_difference;
  json["rms_difference"] = tensor.rms_difference;
  json["relative_difference"] = tensor.relative_difference;
  return json;
}

void PrintJson(const DiffReport& report, const Arguments& arguments, Console& console) {
  Json json = {{"base", arguments.files[0]}, {"variant", arguments.files[1]}, {"is_same", report.is_same()}};
  Json counts = Json::object();
  for (size_t kind = 0; kind < kDiffKindCount; ++kind) {
    counts[std::string(DiffKindName(static_cast<DiffKind>(kind)))] = report.tensor_counts[kind];
  }
  json["tensor_counts"] = counts;
  json["tensors"] = Json::array();
  for (const TensorDiff& tensor : report.tensors) {
    if (arguments.verbose || tensor.kind != DiffKind::kSame) json["tensors"].push_back(DescribeTensor(tensor));
  }
  json["files"] = Json::array();
  for (const FileDiff& file : report.files) {
    json["files"].push_back({{"name", file.name}, {"kind", DiffKindName(file.kind)}, {"is_rest", file.is_rest}});
  }
  console.Print(ToJsonLine(json));
}

/// --patch: what changed as an archive.
void WritePatch(const Arguments& arguments, Console& console) {
  const std::string& variant = arguments.files[1];
  std::optional<CompressSummary> summary =
      WriteOutput<CompressSummary>(variant, *arguments.patch, arguments, console, [&](bool overwrite) {
        ProgressBar bar(console.Label(variant), 2, console.wants_progress());
        CompressOptions options;
        options.thread_count = arguments.thread_count;
        options.level = arguments.level;
        options.overwrite = overwrite;
        options.bases = {arguments.files[0]};
        Result<bool> is_archive = IsArchive(variant);
        options.repack = !IsDirectory(variant) && is_archive.ok() && is_archive.value();
        options.progress = bar.Callback();
        options.notice = TellNotices(variant, bar, console);
        return Compress({variant}, *arguments.patch, options);
      });
  if (!summary.has_value()) return console.FailPatch();
  console.Note(variant + ": a patch of " + HumanBytes(summary->archive_bytes) + ", " +
               HumanPercent(summary->archive_bytes, summary->source_bytes) + ", written to " + *arguments.patch);
}

}  // namespace

void RunDiff(const Arguments& arguments, Console& console) {
  Result<DiffReport> report = [&] {
    ProgressBar bar(console.Label(arguments.files[1]), 1, console.wants_progress());
    DiffOptions options;
    options.thread_count = arguments.thread_count;
    if (arguments.pattern.has_value()) options.tensors = {*arguments.pattern};
    options.progress = bar.Callback();
    options.notice = TellNotices(arguments.files[1], bar, console);
    return DiffModels(arguments.files[0], arguments.files[1], options);
  }();
  if (!report.ok()) return console.FailComparison("diff", report.error());
  if (!arguments.quiet && arguments.json) PrintJson(report.value(), arguments, console);
  if (!arguments.quiet && !arguments.json) PrintText(report.value(), arguments, console);
  if (!report.value().is_same()) console.TellDifference();
  if (arguments.patch.has_value()) WritePatch(arguments, console);
}

}  // namespace flyweight::cli
