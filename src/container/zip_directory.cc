#include "container/zip_directory.h"

#include <algorithm>
#include <utility>

#include "base/checked.h"
#include "container/zip_records.h"

namespace flyweight {
namespace {

/// Whether the two headers of a member tell the same. Behind a data descriptor (flag bit 3) the local header may leave
/// out checksum and sizes.
bool Agree(const ZipCentralEntry& central, const ZipLocalHeader& local) {
  if (local.flags != central.flags || local.method != central.method || local.name != central.name) return false;
  bool sizes_follow = (central.flags & kZipFlagDataDescriptor) != 0;
  auto same = [&](uint64_t in_local, uint64_t in_central) {
    return in_local == in_central || (sizes_follow && (in_local == 0 || in_local == kZipSaturated32));
  };
  return same(local.crc, central.crc) && same(local.stored_bytes, central.stored_bytes) &&
         same(local.plain_bytes, central.plain_bytes);
}

bool IsPlain(const ZipCentralEntry& entry) {
  return entry.method == kZipMethodStored && entry.stored_bytes == entry.plain_bytes &&
         (entry.flags & kZipFlagsOfEncryption) == 0;
}

/// Where a member must end at the least: behind its local header, name and content.
std::optional<uint64_t> LeastEnd(const ZipCentralEntry& entry) {
  std::optional<uint64_t> header_end = CheckedAdd(entry.header_offset, kZipLocalHeaderBytes + entry.name.size());
  return header_end.has_value() ? CheckedAdd(*header_end, entry.stored_bytes) : std::nullopt;
}

/// Sorts by place; false where two members overlap or one reaches into the directory.
bool SortWithoutOverlap(std::vector<ZipCentralEntry>& entries, uint64_t directory_offset) {
  std::sort(entries.begin(), entries.end(),
            [](const ZipCentralEntry& a, const ZipCentralEntry& b) { return a.header_offset < b.header_offset; });
  uint64_t end_offset = 0;
  for (const ZipCentralEntry& entry : entries) {
    std::optional<uint64_t> least_end = LeastEnd(entry);
    if (!least_end.has_value() || *least_end > directory_offset || entry.header_offset < end_offset) return false;
    end_offset = *least_end;
  }
  return true;
}

enum class Check { kPlain, kLeftOut, kOverlaps };

/// Preconditions: the least end of `entry` lies inside the source, `limit_offset` is where the next member starts.
Result<Check> CheckMember(const ByteSource& source, const ZipCentralEntry& entry, uint64_t limit_offset,
                          ZipMember& member) {
  if (!IsPlain(entry)) return Check::kLeftOut;
  FLYWEIGHT_ASSIGN(std::optional<ZipLocalHeader> local,
                   ReadZipLocalHeader(source, entry.header_offset, entry.name.size()));
  if (!local.has_value() || !Agree(entry, *local)) return Check::kLeftOut;
  member = {entry.name, entry.header_offset + local->header_bytes, entry.plain_bytes};
  bool fits = member.data_offset <= limit_offset && member.size_bytes <= limit_offset - member.data_offset;
  return fits ? Check::kPlain : Check::kOverlaps;
}

/// Precondition: sorted. False where members overlap.
Result<bool> CheckMembers(const ByteSource& source, const std::vector<ZipCentralEntry>& entries,
                          uint64_t directory_offset, std::vector<ZipMember>& members) {
  for (size_t i = 0; i < entries.size(); i++) {
    uint64_t limit_offset = i + 1 < entries.size() ? entries[i + 1].header_offset : directory_offset;
    ZipMember member;
    FLYWEIGHT_ASSIGN(Check check, CheckMember(source, entries[i], limit_offset, member));
    if (check == Check::kOverlaps) return false;
    if (check == Check::kPlain) members.push_back(member);
  }
  return true;
}

}  // namespace

Result<std::optional<ZipDirectory>> ReadZipDirectory(const ByteSource& source, ByteSpan first_bytes) {
  if (!StartsLikeZip(first_bytes)) return std::optional<ZipDirectory>();
  FLYWEIGHT_ASSIGN(std::optional<ZipEnd> end, ReadZipEnd(source));
  if (!end.has_value() || end->directory_bytes > kZipMaxDirectoryBytes) return std::optional<ZipDirectory>();

  ZipDirectory directory;
  directory.central.resize(static_cast<size_t>(end->directory_bytes));
  FLYWEIGHT_TRY(source.ReadAt(end->directory_offset, directory.central));
  std::optional<std::vector<ZipCentralEntry>> entries = ParseZipCentralEntries(directory.central, end->entry_count);
  if (!entries.has_value() || !SortWithoutOverlap(*entries, end->directory_offset))
    return std::optional<ZipDirectory>();

  FLYWEIGHT_ASSIGN(bool separate, CheckMembers(source, *entries, end->directory_offset, directory.members));
  if (!separate) return std::optional<ZipDirectory>();
  return std::optional<ZipDirectory>(std::move(directory));
}

}  // namespace flyweight
