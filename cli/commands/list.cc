#include <algorithm>
#include <array>

#include "cli/commands/commands.h"
#include "cli/commands/listing.h"
#include "cli/json.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr size_t kColumnCount = 6;
using Row = std::array<std::string, kColumnCount>;

std::string ShapeText(const Shape& shape) {
  std::string text;
  for (uint64_t dimension : shape) text += (text.empty() ? "" : ", ") + std::to_string(dimension);
  return "[" + text + "]";
}

Row RowOf(const ListedTensor& extent) {
  return {extent.is_tensor ? EscapeForTerminal(extent.name) : "(other bytes)",
          extent.is_tensor ? std::string(Describe(extent.dtype).name) : "",
          extent.is_tensor ? ShapeText(extent.shape) : "",
          HumanBytes(extent.decoded_bytes),
          HumanBytes(extent.stored_bytes),
          HumanPercent(extent.stored_bytes, extent.decoded_bytes)};
}

std::string Padded(const std::string& text, size_t width, bool right) {
  size_t own_width = DisplayWidth(text);
  std::string padding(own_width < width ? width - own_width : 0, ' ');
  return right ? padding + text : text + padding;
}

void PrintTable(const std::vector<Row>& rows, Console& console) {
  std::array<size_t, kColumnCount> widths{};
  for (const Row& row : rows) {
    for (size_t column = 0; column < kColumnCount; ++column) {
      widths[column] = std::max(widths[column], DisplayWidth(row[column]));
    }
  }
  for (const Row& row : rows) {
    std::string line;
    for (size_t column = 0; column < kColumnCount; ++column) {
      bool is_number = column >= 3;
      line += (column == 0 ? "" : "  ") + Padded(row[column], widths[column], is_number);
    }
    console.Print(line);
  }
}

/// One object, written piece by piece: as a whole it would take several times the memory of the listing.
void PrintJson(const ArchiveListing& listing, Console& console) {
  std::string report = ToJsonLine(DescribeListing(listing));
  report.pop_back();
  console.Write(report + ",\"tensors\":[");
  const char* separator = "";
  for (const ListedTensor& extent : listing.extents) {
    if (!extent.is_tensor) continue;
    console.Write(separator + ToJsonLine(DescribeTensor(extent)));
    separator = ",";
  }
  console.Print("]}");
}

}  // namespace

void RunList(const std::string& file, const Arguments& arguments, Console& console) {
  std::optional<ArchiveListing> listing = ReadListing(file, console);
  if (!listing.has_value()) return;
  if (arguments.json) {
    PrintJson(*listing, console);
    return;
  }
  std::vector<Row> rows = {{"name", "dtype", "shape", "size", "stored", "%"}};
  for (const ListedTensor& extent : listing->extents) rows.push_back(RowOf(extent));
  uint64_t overhead_bytes = OverheadBytes(*listing);
  rows.push_back({"(index)", "", "", "", HumanBytes(overhead_bytes), ""});
  rows.push_back({"total", "", "", HumanBytes(listing->file_bytes), HumanBytes(listing->archive_bytes),
                  HumanPercent(listing->archive_bytes, listing->file_bytes)});
  if (arguments.files.size() > 1) console.Print(EscapeForTerminal(file) + ":");
  PrintTable(rows, console);
}

}  // namespace flyweight::cli
