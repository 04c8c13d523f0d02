#include "container/zip_records.h"

#include <algorithm>

#include "base/checked.h"

namespace flyweight {
namespace {

constexpr uint32_t kLocalMagic = 0x04034B50;
constexpr uint32_t kCentralMagic = 0x02014B50;
constexpr uint32_t kEndMagic = 0x06054B50;
constexpr uint32_t kEnd64Magic = 0x06064B50;
constexpr uint32_t kLocator64Magic = 0x07064B50;
constexpr uint64_t kLocator64Bytes = 20;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kMaxCommentBytes = 65535;
constexpr uint16_t kZip64ExtraId = 1;

/// The body of the zip64 extra field; empty where there is none or the extra fields are malformed.
ByteSpan FindZip64Extra(ByteSpan extra) {
  while (extra.size() >= 4) {
    uint16_t id = LoadLe<uint16_t>(extra.data());
    size_t size_bytes = LoadLe<uint16_t>(extra.data() + 2);
    extra = extra.subspan(4);
    if (size_bytes > extra.size()) return {};
    if (id == kZip64ExtraId) return extra.first(size_bytes);
    extra = extra.subspan(size_bytes);
  }
  return {};
}

/// Replaces a saturated 32-bit value by the next 64-bit one; false where that is missing.
bool Widen(uint64_t& value, ReadCursor& zip64) {
  if (value != kZipSaturated32) return true;
  Result<uint64_t> wide = zip64.Read<uint64_t>();
  if (wide.ok()) value = wide.value();
  return wide.ok();
}

/// The end record in the last bytes of the file: the last one whose comment ends with the file.
std::optional<size_t> FindEnd(ByteSpan tail) {
  if (tail.size() < kZipEndBytes) return std::nullopt;
  for (size_t at = tail.size() - kZipEndBytes + 1; at-- > 0;) {
    if (LoadLe<uint32_t>(tail.data() + at) != kEndMagic) continue;
    if (LoadLe<uint16_t>(tail.data() + at + 20) == tail.size() - at - kZipEndBytes) return at;
  }
  return std::nullopt;
}

struct End32 {
  uint64_t entry_count = 0;
  uint64_t directory_bytes = 0;
  uint64_t directory_offset = 0;
};

/// Precondition: kZipEndBytes. Nothing where several disks are named.
std::optional<End32> ParseEnd(const std::byte* end) {
  bool one_disk = LoadLe<uint32_t>(end + 4) == 0 && LoadLe<uint16_t>(end + 8) == LoadLe<uint16_t>(end + 10);
  if (!one_disk) return std::nullopt;
  return End32{LoadLe<uint16_t>(end + 10), LoadLe<uint32_t>(end + 12), LoadLe<uint32_t>(end + 16)};
}

/// The zip64 end record, whose values must be those of `end` where that one has them.
std::optional<ZipEnd> ParseEnd64(const std::byte* record, const End32& end) {
  bool one_disk = LoadLe<uint64_t>(record + 16) == 0 && LoadLe<uint64_t>(record + 24) == LoadLe<uint64_t>(record + 32);
  if (LoadLe<uint32_t>(record) != kEnd64Magic || !one_disk) return std::nullopt;
  ZipEnd wide{LoadLe<uint64_t>(record + 32), LoadLe<uint64_t>(record + 48), LoadLe<uint64_t>(record + 40)};
  bool agree = (end.entry_count == 0xFFFF || end.entry_count == wide.entry_count) &&
               (end.directory_bytes == kZipSaturated32 || end.directory_bytes == wide.directory_bytes) &&
               (end.directory_offset == kZipSaturated32 || end.directory_offset == wide.directory_offset);
  return agree ? std::optional(wide) : std::nullopt;
}

/// Whether the directory fills the bytes up to the end records.
bool EndsAt(const ZipEnd& end, uint64_t end_records_offset) {
  return CheckedAdd(end.directory_offset, end.directory_bytes) == end_records_offset;
}

/// Precondition: a zip64 locator lies at `locator_offset` in `source`; `locator` are its bytes.
Result<std::optional<ZipEnd>> ReadEnd64(const ByteSource& source, const std::byte* locator, uint64_t locator_offset,
                                        const End32& end) {
  uint64_t record_offset = LoadLe<uint64_t>(locator + 8);
  bool one_disk = LoadLe<uint32_t>(locator + 4) == 0 && LoadLe<uint32_t>(locator + 16) <= 1;
  if (!one_disk || record_offset > locator_offset || locator_offset - record_offset < kEnd64Bytes)
    return std::optional<ZipEnd>();
  std::byte record[kEnd64Bytes];
  FLYWEIGHT_TRY(source.ReadAt(record_offset, record));
  bool ends_at_locator = LoadLe<uint64_t>(record + 4) == locator_offset - record_offset - 12;
  std::optional<ZipEnd> wide = ParseEnd64(record, end);
  if (!ends_at_locator || !wide.has_value() || !EndsAt(*wide, record_offset)) return std::optional<ZipEnd>();
  return wide;
}

Result<ZipCentralEntry> ParseCentralEntry(ReadCursor& cursor) {
  FLYWEIGHT_ASSIGN(ByteSpan fixed, cursor.Take(kZipCentralEntryBytes));
  const std::byte* at = fixed.data();
  const Error malformed{ErrorCode::kCorrupt, cursor.offset(), "a malformed entry of a zip directory"};
  if (LoadLe<uint32_t>(at) != kCentralMagic || LoadLe<uint16_t>(at + 34) != 0) return malformed;
  FLYWEIGHT_ASSIGN(ByteSpan name, cursor.Take(LoadLe<uint16_t>(at + 28)));
  FLYWEIGHT_ASSIGN(ByteSpan extra, cursor.Take(LoadLe<uint16_t>(at + 30)));
  FLYWEIGHT_TRY(cursor.Take(LoadLe<uint16_t>(at + 32)));
  ZipCentralEntry entry{.name = AsText(name),
                        .flags = LoadLe<uint16_t>(at + 8),
                        .method = LoadLe<uint16_t>(at + 10),
                        .crc = LoadLe<uint32_t>(at + 16),
                        .stored_bytes = LoadLe<uint32_t>(at + 20),
                        .plain_bytes = LoadLe<uint32_t>(at + 24),
                        .header_offset = LoadLe<uint32_t>(at + 42)};
  ReadCursor zip64(FindZip64Extra(extra));
  bool complete =
      Widen(entry.plain_bytes, zip64) && Widen(entry.stored_bytes, zip64) && Widen(entry.header_offset, zip64);
  if (!complete) return malformed;
  return entry;
}

/// The sizes of a local header that has them in its zip64 extra field, which holds both.
Status WidenLocalSizes(const ByteSource& source, uint64_t extra_offset, size_t extra_bytes, ZipLocalHeader& header) {
  if (header.stored_bytes != kZipSaturated32 && header.plain_bytes != kZipSaturated32) return Status::Ok();
  if (extra_bytes > source.size() - extra_offset) return Status::Ok();
  std::vector<std::byte> extra(extra_bytes);
  FLYWEIGHT_TRY(source.ReadAt(extra_offset, extra));
  ReadCursor zip64(FindZip64Extra(extra));
  if (Widen(header.plain_bytes, zip64)) Widen(header.stored_bytes, zip64);
  return Status::Ok();
}

}  // namespace

bool StartsLikeZip(ByteSpan first_bytes) {
  return first_bytes.size() >= kZipLocalHeaderBytes && LoadLe<uint32_t>(first_bytes.data()) == kLocalMagic;
}

Result<std::optional<ZipEnd>> ReadZipEnd(const ByteSource& source) {
  uint64_t tail_bytes = std::min(source.size(), kZipEndBytes + kMaxCommentBytes + kLocator64Bytes);
  uint64_t tail_offset = source.size() - tail_bytes;
  std::vector<std::byte> tail(static_cast<size_t>(tail_bytes));
  FLYWEIGHT_TRY(source.ReadAt(tail_offset, tail));
  std::optional<size_t> at = FindEnd(tail);
  if (!at.has_value()) return std::optional<ZipEnd>();
  std::optional<End32> end = ParseEnd(tail.data() + *at);
  if (!end.has_value()) return std::optional<ZipEnd>();

  if (*at >= kLocator64Bytes) {
    size_t locator_at = *at - static_cast<size_t>(kLocator64Bytes);
    if (LoadLe<uint32_t>(tail.data() + locator_at) == kLocator64Magic)
      return ReadEnd64(source, tail.data() + locator_at, tail_offset + locator_at, *end);
  }
  ZipEnd narrow{end->entry_count, end->directory_offset, end->directory_bytes};
  return EndsAt(narrow, tail_offset + *at) ? std::optional(narrow) : std::nullopt;
}

std::optional<std::vector<ZipCentralEntry>> ParseZipCentralEntries(ByteSpan central, uint64_t entry_count) {
  if (entry_count > central.size() / kZipCentralEntryBytes) return std::nullopt;
  std::vector<ZipCentralEntry> entries;
  entries.reserve(static_cast<size_t>(entry_count));
  ReadCursor cursor(central);
  for (uint64_t i = 0; i < entry_count; i++) {
    Result<ZipCentralEntry> entry = ParseCentralEntry(cursor);
    if (!entry.ok()) return std::nullopt;
    entries.push_back(entry.value());
  }
  if (cursor.remaining() != 0) return std::nullopt;
  return entries;
}

Result<std::optional<ZipLocalHeader>> ReadZipLocalHeader(const ByteSource& source, uint64_t offset, size_t name_bytes) {
  std::string bytes(static_cast<size_t>(kZipLocalHeaderBytes) + name_bytes, '\0');
  FLYWEIGHT_TRY(source.ReadAt(offset, std::as_writable_bytes(std::span(bytes))));
  const char* at = bytes.data();
  if (LoadLe<uint32_t>(at) != kLocalMagic || LoadLe<uint16_t>(at + 26) != name_bytes)
    return std::optional<ZipLocalHeader>();
  size_t extra_bytes = LoadLe<uint16_t>(at + 28);
  ZipLocalHeader header{.name = bytes.substr(static_cast<size_t>(kZipLocalHeaderBytes)),
                        .flags = LoadLe<uint16_t>(at + 6),
                        .method = LoadLe<uint16_t>(at + 8),
                        .crc = LoadLe<uint32_t>(at + 14),
                        .stored_bytes = LoadLe<uint32_t>(at + 18),
                        .plain_bytes = LoadLe<uint32_t>(at + 22),
                        .header_bytes = bytes.size() + extra_bytes};
  FLYWEIGHT_TRY(WidenLocalSizes(source, offset + bytes.size(), extra_bytes, header));
  return std::optional<ZipLocalHeader>(std::move(header));
}

}  // namespace flyweight
