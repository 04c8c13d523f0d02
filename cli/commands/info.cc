#include <array>
#include <map>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/json.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

std::string Exact(uint64_t bytes) {
  std::string human = HumanBytes(bytes);
  return bytes < 1000 ? human : human + " (" + std::to_string(bytes) + " bytes)";
}

std::map<std::string, uint64_t> CountByDType(const ArchiveListing& listing) {
  std::map<std::string, uint64_t> counts;
  for (const ListedTensor& extent : listing.extents) {
    if (extent.is_tensor) ++counts[std::string(Describe(extent.dtype).name)];
  }
  return counts;
}

std::string TensorsText(const std::map<std::string, uint64_t>& counts) {
  uint64_t total = 0;
  std::string kinds;
  for (const auto& [dtype, count] : counts) {
    total += count;
    kinds += (kinds.empty() ? "" : ", ") + std::to_string(count) + " " + dtype;
  }
  return total == 0 ? "none" : std::to_string(total) + " (" + kinds + ")";
}

uint64_t WeightCount(const ArchiveListing& listing) {
  uint64_t total = 0;
  for (const ListedTensor& extent : listing.extents) {
    uint64_t count = extent.is_tensor ? ElementCount(extent.shape) : 0;
    total = count > UINT64_MAX - total ? UINT64_MAX : total + count;
  }
  return total;
}

std::string Counted(size_t count, const char* one, const char* many) {
  return count == 0 ? "" : std::to_string(count) + " " + (count == 1 ? one : many) + ", ";
}

/// "3 files, 1 directory, 2 links".
std::string EntriesText(const ArchiveListing& listing) {
  std::array<size_t, 4> counts{};
  for (const ListedFile& file : listing.files) {
    if (auto kind = static_cast<size_t>(file.entry.kind); kind < counts.size()) ++counts[kind];
  }
  std::string text = Counted(counts[0], "file", "files") + Counted(counts[1], "directory", "directories") +
                     Counted(counts[2], "symbolic link", "symbolic links") +
                     Counted(counts[3], "hard link", "hard links");
  return text.empty() ? "nothing" : text.substr(0, text.size() - 2);
}

void PrintContent(const ArchiveListing& listing, Console& console) {
  if (listing.is_tree) {
    console.Print("tree      " + EntriesText(listing));
  } else if (!listing.files.empty()) {
    const ListedFile& file = listing.files.front();
    std::string name = file.name.empty() ? "(unnamed)" : EscapeForTerminal(file.name);
    console.Print("file      " + name + ", " + file.container_format);
  }
}

}  // namespace

void RunInfo(const std::string& file, const Arguments& arguments, Console& console) {
  std::optional<ArchiveListing> listing = ReadListing(file, console);
  if (!listing.has_value()) return;
  std::map<std::string, uint64_t> counts = CountByDType(*listing);
  if (arguments.json) {
    Json report = DescribeListing(*listing);
    report["dtypes"] = counts;
    report["weight_count"] = WeightCount(*listing);
    console.Print(ToJsonLine(report));
    return;
  }
  console.Print("archive   " + EscapeForTerminal(DisplayName(file)));
  PrintContent(*listing, console);
  console.Print("size      " + Exact(listing->file_bytes));
  console.Print("stored    " + Exact(listing->archive_bytes) + ", " +
                HumanPercent(listing->archive_bytes, listing->file_bytes));
  console.Print("tensors   " + TensorsText(counts));
  console.Print("weights   " + std::to_string(WeightCount(*listing)));
  if (!listing->is_tree && !listing->files.empty()) {
    const std::string& sha256 = listing->files.front().sha256_hex;
    console.Print("sha256    " + (sha256.empty() ? "none" : sha256));
  }
  if (!listing->identity_hex.empty()) console.Print("identity  " + listing->identity_hex);
  for (const std::string& line : BaseLines(*listing)) console.Print(line);
  for (const std::string& line : LossLines(*listing)) console.Print(line);
  if (arguments.files.size() > 1 && file != arguments.files.back()) console.Print("");
}

}  // namespace flyweight::cli
