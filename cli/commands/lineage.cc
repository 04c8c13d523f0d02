#include "flyweight/lineage.h"

#include <algorithm>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/commands/output.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr size_t kShortDigits = 12;

std::string StateOf(const LineageEntry& entry) {
  if (entry.is_guess) return entry.was_looked_for ? "no archive; samples fit" : "not read; has the name of the base";
  if (!entry.other_path.empty()) {
    return "MISSING: " + EscapeForTerminal(entry.other_path) + " has the name and other content";
  }
  if (entry.is_missing()) return "MISSING: no archive here holds it, and no model file fits";
  if (entry.is_patch && !entry.parent.has_value()) return "its base is MISSING";
  return entry.is_patch ? "patch" : "full";
}

Json DescribeEntry(const Lineage& lineage, const LineageEntry& entry) {
  Json json = {{"name", entry.name},
               {"path", entry.path.empty() ? Json(nullptr) : Json(entry.path)},
               {"kind", entry.is_missing() ? "missing"
                        : entry.is_patch   ? "patch"
                        : entry.is_guess   ? "guess"
                                           : "full"},
               {"identity", entry.identity_hex.empty() ? Json(nullptr) : Json(entry.identity_hex)},
               {"depth", entry.depth},
               {"archive_bytes", entry.archive_bytes},
               {"file_bytes", entry.file_bytes}};
  if (entry.is_patch) {
    json["base_name"] = entry.base_name;
    json["base_identity"] = entry.base_identity_hex;
    json["parent"] = entry.parent.has_value() ? Json(lineage.entries[*entry.parent].path) : Json(nullptr);
  }
  return json;
}

void PrintText(const Lineage& lineage, Console& console) {
  Table table("llrrl");
  table.Add({"model", "identity", "stored", "size", ""});
  for (const LineageEntry& entry : lineage.entries) {
    std::string name =
        std::string(2 * size_t{entry.depth}, ' ') + EscapeForTerminal(entry.is_missing() ? entry.name : entry.path);
    table.Add({name, entry.identity_hex.substr(0, kShortDigits),
               entry.is_archive ? HumanBytes(entry.archive_bytes) : "",
               entry.is_archive ? HumanBytes(entry.file_bytes) : "", StateOf(entry)});
  }
  table.Print(console);
}

}  // namespace

void RunLineage(const Arguments& arguments, Console& console) {
  Result<Lineage> read = [&]() -> Result<Lineage> {
    ProgressBar bar(console.Label(arguments.files.front()), 1, false);
    LineageOptions options;
    options.notice = TellNotices(arguments.files.front(), bar, console);
    Result<Lineage> lineage = ReadLineage(arguments.files, options);
    if (lineage.ok()) FLYWEIGHT_TRY(FindPlainBases(lineage.value(), arguments.files));
    return lineage;
  }();
  if (!read.ok()) return console.Fail("lineage", read.error());
  const Lineage& lineage = read.value();
  if (arguments.json) {
    Json json = {{"entries", Json::array()},
                 {"unreadable_count", lineage.unreadable_count},
                 {"is_complete", lineage.is_complete}};
    for (const LineageEntry& entry : lineage.entries) json["entries"].push_back(DescribeEntry(lineage, entry));
    console.Print(ToJsonLine(json));
  } else {
    PrintText(lineage, console);
  }
  if (lineage.unreadable_count > 0) {
    console.Warn(arguments.files.front(), std::to_string(lineage.unreadable_count) + " archives could not be read");
  }
}

}  // namespace flyweight::cli
