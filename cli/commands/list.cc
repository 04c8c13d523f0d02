#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

bool IsWanted(const ArchiveListing& listing, const ListedTensor& extent, const Arguments& arguments) {
  return !arguments.pattern.has_value() || MatchesTensor(*arguments.pattern, listing, extent);
}

void AddTotal(const ArchiveListing& listing, Table& table, std::vector<std::string> before,
              std::vector<std::string> after) {
  for (std::string cell : {HumanBytes(listing.file_bytes), HumanBytes(listing.archive_bytes),
                           HumanPercent(listing.archive_bytes, listing.file_bytes)}) {
    before.push_back(std::move(cell));
  }
  before.insert(before.end(), after.begin(), after.end());
  table.Add(std::move(before));
}

/// What is said of a tensor beside its sizes.
std::string RemarkOn(const ListedTensor& extent) {
  if (extent.lossy.has_value()) return "LOSSY " + extent.lossy->method;
  bool is_renamed = !extent.base_name.empty() && extent.base_name != extent.name && extent.is_tensor;
  std::string of_base = is_renamed ? " of " + EscapeForTerminal(extent.base_name) : "";
  if (extent.patch == PatchKind::kSame) return "same" + of_base;
  if (extent.patch == PatchKind::kPatch) return "patch" + of_base;
  if (extent.shared_bytes == 0) return "";
  bool is_all = extent.shared_bytes == extent.decoded_bytes;
  return is_all ? "shared" : HumanPercent(extent.shared_bytes, extent.decoded_bytes) + " shared";
}

void PrintTensors(const ArchiveListing& listing, const Arguments& arguments, Console& console) {
  Table table("lllrrrl");
  table.Add({"name", "dtype", "shape", "size", "stored", "%", ""});
  for (const ListedTensor& extent : listing.extents) {
    if (!IsWanted(listing, extent, arguments)) continue;
    std::string name = extent.is_tensor ? EscapeForTerminal(KeyOf(listing, extent)) : "(other bytes)";
    if (listing.is_tree && !extent.is_tensor) continue;
    table.Add({name, extent.is_tensor ? std::string(Describe(extent.dtype).name) : "",
               extent.is_tensor ? ShapeText(extent.shape) : "", HumanBytes(extent.decoded_bytes),
               HumanBytes(extent.stored_bytes), HumanPercent(extent.stored_bytes, extent.decoded_bytes),
               RemarkOn(extent)});
  }
  if (!listing.is_tree && !arguments.pattern.has_value()) {
    table.Add({"(index)", "", "", "", HumanBytes(OverheadBytes(listing)), "", ""});
    AddTotal(listing, table, {"total", "", ""}, {""});
  }
  table.Print(console);
}

std::string EntryName(const ListedFile& file) {
  std::string name = file.name.empty() ? "." : EscapeForTerminal(file.name);
  if (file.entry.kind == EntryKind::kDirectory && file.name.empty()) return name;
  if (file.entry.kind == EntryKind::kDirectory) return name + "/";
  if (file.entry.kind == EntryKind::kSymlink) return name + " -> " + EscapeForTerminal(file.link_target);
  if (file.entry.kind == EntryKind::kHardLink) return name + " = " + EscapeForTerminal(file.link_target);
  if (file.is_lossy) name += "  LOSSY";
  return file.stripped.empty() ? name : name + "  STRIPPED";
}

void PrintEntries(const ArchiveListing& listing, Console& console) {
  Table table("lrrrll");
  table.Add({"mode", "size", "stored", "%", "modified", "name"});
  for (const ListedFile& file : listing.files) {
    bool has_bytes = file.entry.kind == EntryKind::kFile;
    table.Add({ModeText(file.entry), has_bytes ? HumanBytes(file.file_bytes) : "",
               has_bytes ? HumanBytes(file.stored_bytes) : "",
               has_bytes ? HumanPercent(file.stored_bytes, file.file_bytes) : "", TimeText(file.entry.modified),
               EntryName(file)});
  }
  table.Add({"", "", HumanBytes(OverheadBytes(listing)), "", "", "(index)"});
  AddTotal(listing, table, {""}, {"", "total"});
  table.Print(console);
}

/// Objects of an array, one by one: as a whole they would take several times the memory of the listing.
class JsonArray {
 public:
  JsonArray(const char* name, Console& console) : console_(console) {
    console.Write(std::string(",\"") + name + "\":[");
  }
  void Add(const Json& json) {
    console_.Write(separator_ + ToJsonLine(json));
    separator_ = ",";
  }
  void End() { console_.Write("]"); }

 private:
  Console& console_;
  std::string separator_;
};

void PrintJson(const ArchiveListing& listing, const Arguments& arguments, Console& console) {
  std::string report = ToJsonLine(DescribeListing(listing));
  report.pop_back();
  console.Write(report);
  if (listing.is_tree) {
    JsonArray files("files", console);
    for (const ListedFile& file : listing.files) files.Add(DescribeEntry(file));
    files.End();
  }
  JsonArray tensors("tensors", console);
  for (const ListedTensor& extent : listing.extents) {
    if (extent.is_tensor && IsWanted(listing, extent, arguments)) tensors.Add(DescribeTensor(listing, extent));
  }
  tensors.End();
  console.Print("}");
}

}  // namespace

void RunList(const std::string& file, const Arguments& arguments, Console& console) {
  std::optional<ArchiveListing> listing = ReadListing(file, console);
  if (!listing.has_value()) return;
  if (arguments.json) return PrintJson(*listing, arguments, console);
  if (arguments.files.size() > 1) console.Print(EscapeForTerminal(file) + ":");
  if (listing->is_tree && !arguments.pattern.has_value()) PrintEntries(*listing, console);
  if (listing->is_tree && arguments.verbose) console.Print("");
  if (!listing->is_tree || arguments.verbose || arguments.pattern.has_value()) {
    PrintTensors(*listing, arguments, console);
  }
  for (const std::string& line : BaseLines(*listing)) console.Print(line);
  for (const std::string& line : LossLines(*listing)) console.Print(line);
}

}  // namespace flyweight::cli
