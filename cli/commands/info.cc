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

}  // namespace

void RunInfo(const std::string& file, const Arguments& arguments, Console& console) {
  std::optional<ArchiveListing> listing = ReadListing(file, console);
  if (!listing.has_value()) return;
  std::map<std::string, uint64_t> counts = CountByDType(*listing);
  if (arguments.json) {
    Json report = DescribeListing(*listing);
    report["dtypes"] = counts;
    console.Print(ToJsonLine(report));
    return;
  }
  console.Print("archive   " + EscapeForTerminal(DisplayName(file)));
  std::string name = listing->file_name.empty() ? "(unnamed)" : EscapeForTerminal(listing->file_name);
  console.Print("file      " + name + ", " + listing->container_format);
  console.Print("size      " + Exact(listing->file_bytes));
  console.Print("stored    " + Exact(listing->archive_bytes) + ", " +
                HumanPercent(listing->archive_bytes, listing->file_bytes));
  console.Print("tensors   " + TensorsText(counts));
  console.Print("sha256    " + (listing->sha256_hex.empty() ? "none" : listing->sha256_hex));
  if (arguments.files.size() > 1 && file != arguments.files.back()) console.Print("");
}

}  // namespace flyweight::cli
