#include <cstdio>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr size_t kDigestCharacters = 16;  // of 64: enough to tell tensors apart by eye; --json has all

double BitsPerWeight(const ListedTensor& tensor) {
  uint64_t count = ElementCount(tensor.shape);
  return count == 0 ? 0 : 8.0 * static_cast<double>(tensor.stored_bytes) / static_cast<double>(count);
}

std::string BitsText(const ListedTensor& tensor) {
  if (tensor.is_shared) return "shared";
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", BitsPerWeight(tensor));
  return text;
}

std::string LossyText(const ListedTensor& tensor) {
  if (!tensor.lossy.has_value()) return "";
  char errors[64];
  std::snprintf(errors, sizeof errors, "  %.3g  %.3g", tensor.lossy->max_error, tensor.lossy->rms_error);
  return tensor.lossy->method + errors;
}

void PrintTable(const ArchiveListing& listing, const std::vector<const ListedTensor*>& tensors, Console& console) {
  Table table("lllrrrrll");
  std::string lossy_title = listing.is_lossy ? "LOSSY, largest error, RMS" : "";
  table.Add({"name", "dtype", "shape", "size", "stored", "%", "bits/weight", "digest", lossy_title});
  for (const ListedTensor* tensor : tensors) {
    table.Add({EscapeForTerminal(KeyOf(listing, *tensor)), std::string(Describe(tensor->dtype).name),
               ShapeText(tensor->shape), HumanBytes(tensor->decoded_bytes), HumanBytes(tensor->stored_bytes),
               HumanPercent(tensor->stored_bytes, tensor->decoded_bytes), BitsText(*tensor),
               tensor->digest_hex.empty() ? "-" : tensor->digest_hex.substr(0, kDigestCharacters), LossyText(*tensor)});
  }
  table.Print(console);
}

void PrintJson(const ArchiveListing& listing, const std::vector<const ListedTensor*>& tensors, Console& console) {
  std::string report = ToJsonLine(DescribeListing(listing));
  report.pop_back();
  console.Write(report + ",\"tensors\":[");
  const char* separator = "";
  for (const ListedTensor* tensor : tensors) {
    Json json = DescribeTensor(listing, *tensor);
    json["element_count"] = ElementCount(tensor->shape);
    json["bits_per_weight"] = BitsPerWeight(*tensor);
    json["is_shared"] = tensor->is_shared;
    console.Write(separator + ToJsonLine(json));
    separator = ",";
  }
  console.Print("]}");
}

}  // namespace

void RunStat(const std::string& file, const Arguments& arguments, Console& console) {
  std::optional<ArchiveListing> listing = ReadListing(file, console);
  if (!listing.has_value()) return;
  std::vector<const ListedTensor*> tensors;
  for (const ListedTensor& extent : listing->extents) {
    bool is_wanted = !arguments.pattern.has_value() || MatchesTensor(*arguments.pattern, *listing, extent);
    if (extent.is_tensor && is_wanted) tensors.push_back(&extent);
  }
  if (tensors.empty() && arguments.pattern.has_value()) {
    console.Warn(file, "no tensor matches '" + *arguments.pattern + "'; flyweight list names them all");
  }
  if (arguments.json) return PrintJson(*listing, tensors, console);
  if (arguments.files.size() > 1) console.Print(EscapeForTerminal(file) + ":");
  PrintTable(*listing, tensors, console);
  for (const std::string& line : LossLines(*listing)) console.Print(line);
}

}  // namespace flyweight::cli
