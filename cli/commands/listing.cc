#include "cli/commands/listing.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "cli/commands/output.h"
#include "cli/text.h"

namespace flyweight::cli {

std::optional<ArchiveListing> ReadListing(const std::string& file, Console& console) {
  if (RefuseDirectory(file, console)) return std::nullopt;
  Result<ArchiveListing> listing = ListArchive(file);
  if (!listing.ok()) {
    console.Fail(file, listing.error());
    return std::nullopt;
  }
  for (const std::string& part : listing.value().damage) {
    console.Warn(file, "the " + part + " is damaged, its second copy was used; decompress and compress anew");
  }
  return std::move(listing).value();
}

uint64_t OverheadBytes(const ArchiveListing& listing) {
  uint64_t overhead_bytes = listing.archive_bytes;
  // Extents may share a record, so their sum may be more than there is.
  for (const ListedTensor& extent : listing.extents) overhead_bytes -= std::min(overhead_bytes, extent.stored_bytes);
  return overhead_bytes;
}

std::vector<std::string> LossLines(const ArchiveListing& listing) {
  std::vector<std::string> lines;
  if (listing.is_lossy) {
    auto count = std::ranges::count_if(listing.extents, [](const ListedTensor& t) { return t.lossy.has_value(); });
    lines.push_back("LOSSY: " + std::to_string(count) +
                    " tensors are not what was compressed; flyweight stat has the errors");
  }
  uint64_t stripped_count = 0;
  uint64_t stripped_bytes = 0;
  for (const ListedFile& file : listing.files) {
    stripped_count += file.stripped.size();
    for (const StrippedTensor& tensor : file.stripped) stripped_bytes += tensor.size_bytes;
  }
  if (listing.is_stripped) {
    lines.push_back("STRIPPED: " + std::to_string(stripped_count) + " tensors with " + HumanBytes(stripped_bytes) +
                    " were left out");
  }
  return lines;
}

std::vector<std::string> BaseLines(const ArchiveListing& listing) {
  if (!listing.base.has_value()) return {};
  std::array<uint64_t, 3> counts{};  // by PatchKind
  for (const ListedTensor& extent : listing.extents) {
    if (extent.is_tensor) ++counts[static_cast<size_t>(extent.patch)];
  }
  return {"base      " + EscapeForTerminal(listing.base->name) + ", identity " + listing.base->identity_hex,
          "patch     " + std::to_string(counts[1]) + " tensors are the base's, " + std::to_string(counts[2]) +
              " are patches, " + std::to_string(counts[0]) + " are stored whole"};
}

std::string ShapeText(const Shape& shape) {
  std::string text;
  for (uint64_t dimension : shape) text += (text.empty() ? "" : ", ") + std::to_string(dimension);
  return "[" + text + "]";
}

uint64_t ElementCount(const Shape& shape) {
  uint64_t count = 1;
  for (uint64_t dimension : shape) {
    if (dimension == 0) return 0;
    count = count > UINT64_MAX / dimension ? UINT64_MAX : count * dimension;
  }
  return count;
}

std::string KeyOf(const ArchiveListing& listing, const ListedTensor& tensor) {
  return listing.is_tree ? listing.files[tensor.file].name + ":" + tensor.name : tensor.name;
}

bool MatchesName(const std::string& pattern, const std::string& text) {
  // Brackets stand for themselves, as in the library's patterns.
  std::string escaped;
  for (char letter : pattern) {
    if (letter == '[' || letter == '\\') escaped += '\\';
    escaped += letter;
  }
  return pattern == text || fnmatch(escaped.c_str(), text.c_str(), 0) == 0;
}

bool MatchesTensor(const std::string& pattern, const ArchiveListing& listing, const ListedTensor& tensor) {
  return tensor.is_tensor && (MatchesName(pattern, tensor.name) || MatchesName(pattern, KeyOf(listing, tensor)));
}

std::string ModeText(const EntryStat& entry) {
  constexpr std::array<char, 4> kKinds = {'-', 'd', 'l', '-'};
  auto kind = static_cast<size_t>(entry.kind);
  std::string text(1, kind < kKinds.size() ? kKinds[kind] : '?');
  for (int bit = 8; bit >= 0; --bit) text += ((entry.mode >> bit) & 1) != 0 ? "xwr"[bit % 3] : '-';
  auto special = [&](unsigned bit, size_t at, char with_x, char without_x) {
    if ((entry.mode & bit) != 0) text[at] = text[at] == 'x' ? with_x : without_x;
  };
  special(04000, 3, 's', 'S');
  special(02000, 6, 's', 'S');
  special(01000, 9, 't', 'T');
  return text;
}

std::string TimeText(const FileTime& time) {
  std::time_t seconds = time.seconds;
  std::tm parts{};
  char text[32];
  if (localtime_r(&seconds, &parts) == nullptr || std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts) == 0) {
    return "-";
  }
  return text;
}

}  // namespace flyweight::cli
