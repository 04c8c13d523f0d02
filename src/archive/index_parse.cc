#include <algorithm>
#include <string>

#include "archive/index.h"
#include "archive/index_patches.h"
#include "archive/index_shared.h"
#include "archive/wire.h"

namespace flyweight {
namespace {

Error CorruptAt(const ReadCursor& cursor, const std::string& what) {
  return {ErrorCode::kCorrupt, cursor.offset(), what};
}

/// A count of things that take at least `min_bytes` each is only believed where the bytes left could hold them.
Status CheckCount(const ReadCursor& cursor, uint64_t count, uint64_t min_bytes, uint64_t limit,
                  const std::string& what) {
  if (count > cursor.remaining() / min_bytes) {
    return Error{ErrorCode::kTruncated, cursor.offset(),
                 std::to_string(count) + " " + what + " do not fit into the " + std::to_string(cursor.remaining()) +
                     " bytes that are left"};
  }
  if (count > limit) {
    return Error{
        ErrorCode::kLimitExceeded, cursor.offset(),
        std::to_string(count) + " " + what + " are more than the " + std::to_string(limit) + " this program accepts"};
  }
  return Status::Ok();
}

Result<bool> ReadFlag(ReadCursor& cursor, const std::string& what) {
  FLYWEIGHT_ASSIGN(auto value, cursor.Read<uint8_t>());
  if (value > 1) return CorruptAt(cursor, what + " must be 0 or 1");
  return value == 1;
}

Result<std::string> ReadName(ReadCursor& cursor) {
  FLYWEIGHT_ASSIGN(auto name_bytes, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(ByteSpan name, cursor.Take(name_bytes));
  return std::string(AsText(name));
}

Result<Digest> ReadDigest(ReadCursor& cursor) {
  Digest digest;
  FLYWEIGHT_ASSIGN(ByteSpan bytes, cursor.Take(digest.size()));
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

Status ReadTensor(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(auto dtype, cursor.Read<uint16_t>());
  extent.dtype = static_cast<DType>(dtype);
  FLYWEIGHT_ASSIGN(auto rank, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(auto reserved, cursor.Read<uint8_t>());
  if (reserved != 0) return CorruptAt(cursor, "a reserved byte of a tensor is not 0");
  FLYWEIGHT_TRY(CheckCount(cursor, rank, sizeof(uint64_t), wire::kRankMax, "dimensions"));
  extent.shape.resize(rank);
  for (uint64_t& dimension : extent.shape) {
    FLYWEIGHT_ASSIGN(dimension, cursor.Read<uint64_t>());
  }
  FLYWEIGHT_ASSIGN(extent.name, ReadName(cursor));
  FLYWEIGHT_ASSIGN(auto algorithm, cursor.Read<uint8_t>());
  extent.digest_algorithm = static_cast<DigestAlgorithm>(algorithm);
  FLYWEIGHT_ASSIGN(extent.digest, ReadDigest(cursor));
  return Status::Ok();
}

Status ReadInline(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(auto stored_bytes, cursor.Read<uint32_t>());
  if (stored_bytes > wire::kInlineMaxBytes) return CorruptAt(cursor, "an inline extent has more than 4096 bytes");
  FLYWEIGHT_ASSIGN(ByteSpan bytes, cursor.Take(stored_bytes));
  extent.inline_bytes.assign(bytes.begin(), bytes.end());
  return Status::Ok();
}

Status ReadPlace(ReadCursor& cursor, IndexExtent& extent) {
  switch (extent.place) {
    case PlaceKind::kInline:
      return ReadInline(cursor, extent);
    case PlaceKind::kRecord: {
      FLYWEIGHT_ASSIGN(extent.record_offset, cursor.Read<uint64_t>());
      FLYWEIGHT_ASSIGN(extent.record_bytes, cursor.Read<uint64_t>());
      FLYWEIGHT_ASSIGN(extent.record_check, cursor.Read<uint64_t>());
      return Status::Ok();
    }
    case PlaceKind::kSame: {
      FLYWEIGHT_ASSIGN(extent.same_as, cursor.Read<uint64_t>());
      return Status::Ok();
    }
    case PlaceKind::kExternal:
      return Error{ErrorCode::kUnsupportedFeature, cursor.offset(),
                   "its bytes lie outside the archive; a newer flyweight is needed"};
    case PlaceKind::kPieces:
      return ReadPiecesPlace(cursor, extent);
    case PlaceKind::kCast:
      return ReadCastPlace(cursor, extent);
    case PlaceKind::kPatched:
      return ReadPatchedPlace(cursor, extent);
    case PlaceKind::kBase:
      return ReadBasePlace(cursor, extent);
  }
  return CorruptAt(cursor, "an extent of unknown kind");
}

Status ReadExtent(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(auto kind, cursor.Read<uint8_t>());
  if (kind > static_cast<uint8_t>(PlaceKind::kBase)) {
    return CorruptAt(cursor, "extent kind " + std::to_string(kind) + " is unknown");
  }
  extent.place = static_cast<PlaceKind>(kind);
  FLYWEIGHT_ASSIGN(extent.is_tensor, ReadFlag(cursor, "is_tensor"));
  FLYWEIGHT_ASSIGN(extent.decoded_bytes, cursor.Read<uint64_t>());
  if (extent.is_tensor) FLYWEIGHT_TRY(ReadTensor(cursor, extent));
  return ReadPlace(cursor, extent);
}

Result<FileTime> ReadTime(ReadCursor& cursor) {
  FileTime time;
  FLYWEIGHT_ASSIGN(time.seconds, cursor.Read<int64_t>());
  FLYWEIGHT_ASSIGN(time.nanoseconds, cursor.Read<uint32_t>());
  return time;
}

Status ReadEntry(ByteSpan value, uint64_t offset, IndexFile& file) {
  ReadCursor cursor(value, offset);
  FLYWEIGHT_ASSIGN(auto kind, cursor.Read<uint8_t>());
  if (kind > static_cast<uint8_t>(EntryKind::kHardLink)) return CorruptAt(cursor, "an entry of unknown kind");
  file.entry.kind = static_cast<EntryKind>(kind);
  FLYWEIGHT_ASSIGN(auto reserved, cursor.Read<uint8_t>());
  if (reserved != 0) return CorruptAt(cursor, "a reserved byte of an entry is not 0");
  FLYWEIGHT_ASSIGN(file.entry.mode, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(file.entry.modified, ReadTime(cursor));
  FLYWEIGHT_ASSIGN(file.entry.accessed, ReadTime(cursor));
  return cursor.remaining() == 0 ? Status::Ok() : CorruptAt(cursor, "an entry has bytes to spare");
}

Status ReadHardLink(ByteSpan value, uint64_t offset, IndexFile& file) {
  ReadCursor cursor(value, offset);
  FLYWEIGHT_ASSIGN(file.hard_link_to, cursor.Read<uint32_t>());
  return cursor.remaining() == 0 ? Status::Ok() : CorruptAt(cursor, "a hard link has bytes to spare");
}

/// Which of the attributes of trees a file had.
struct SeenAttributes {
  bool entry = false;
  bool link_target = false;
  bool hard_link = false;
};

Status ReadAttribute(ReadCursor& cursor, bool is_tree, SeenAttributes& seen, IndexFile& file) {
  FLYWEIGHT_ASSIGN(auto kind, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(auto value_bytes, cursor.Read<uint32_t>());
  uint64_t offset = cursor.offset();
  FLYWEIGHT_ASSIGN(ByteSpan value, cursor.Take(value_bytes));
  bool is_tree_kind = kind >= wire::kAttributeEntry && kind <= wire::kAttributeHardLink;
  if (!is_tree_kind) {
    bool is_kept = kind >= wire::kAttributeOriginal && kind <= wire::kAttributeBaseTable;
    if (!is_kept) return Status::Ok();
    for (const IndexAttribute& earlier : file.attributes) {
      if (earlier.kind == kind) return CorruptAt(cursor, "an attribute is given twice");
    }
    file.attributes.push_back({kind, {value.begin(), value.end()}});
    return Status::Ok();
  }
  if (!is_tree) return CorruptAt(cursor, "an attribute of directories in an archive of a file");
  bool& is_seen = kind == wire::kAttributeEntry        ? seen.entry
                  : kind == wire::kAttributeLinkTarget ? seen.link_target
                                                       : seen.hard_link;
  if (is_seen) return CorruptAt(cursor, "an attribute is given twice");
  is_seen = true;
  if (kind == wire::kAttributeEntry) return ReadEntry(value, offset, file);
  if (kind == wire::kAttributeHardLink) return ReadHardLink(value, offset, file);
  file.link_target = std::string(AsText(value));
  return Status::Ok();
}

Status ReadAttributes(ReadCursor& cursor, bool is_tree, IndexFile& file) {
  FLYWEIGHT_ASSIGN(auto count, cursor.Read<uint32_t>());
  FLYWEIGHT_TRY(CheckCount(cursor, count, wire::kAttributeMinBytes, count, "attributes"));
  SeenAttributes seen;
  for (uint32_t i = 0; i < count; ++i) FLYWEIGHT_TRY(ReadAttribute(cursor, is_tree, seen, file));
  if (is_tree && !seen.entry) return CorruptAt(cursor, "an entry of a directory says not what it is");
  if (seen.link_target != (is_tree && file.entry.kind == EntryKind::kSymlink) ||
      seen.hard_link != (is_tree && file.entry.kind == EntryKind::kHardLink)) {
    return CorruptAt(cursor, "an entry has the target of a link and is none, or is a link and has none");
  }
  return Status::Ok();
}

Status ReadFile(ReadCursor& cursor, bool is_tree, uint64_t extent_limit, IndexFile& file) {
  FLYWEIGHT_ASSIGN(file.name, ReadName(cursor));
  FLYWEIGHT_ASSIGN(auto container_format, cursor.Read<uint8_t>());
  file.container_format = static_cast<ContainerFormat>(container_format);
  FLYWEIGHT_ASSIGN(file.has_sha256, ReadFlag(cursor, "has_sha256"));
  FLYWEIGHT_ASSIGN(file.sha256, ReadDigest(cursor));
  FLYWEIGHT_ASSIGN(file.file_bytes, cursor.Read<uint64_t>());
  FLYWEIGHT_TRY(ReadAttributes(cursor, is_tree, file));
  FLYWEIGHT_ASSIGN(auto extent_count, cursor.Read<uint64_t>());
  FLYWEIGHT_TRY(CheckCount(cursor, extent_count, wire::kExtentMinBytes, extent_limit, "extents"));
  file.extents.resize(static_cast<size_t>(extent_count));
  for (size_t i = 0; i < file.extents.size(); ++i) {
    auto status = ReadExtent(cursor, file.extents[i]);
    if (!status.ok()) return WithContext(status.take_error(), "extent " + std::to_string(i));
  }
  return Status::Ok();
}

/// The base table stands with the first file and is about all of them.
Status TakeBaseTable(size_t file, bool has_patches, ArchiveIndex& index) {
  std::vector<IndexAttribute>& attributes = index.files[file].attributes;
  auto found = std::ranges::find(attributes, wire::kAttributeBaseTable, &IndexAttribute::kind);
  if (found == attributes.end()) return Status::Ok();
  if (!has_patches) {
    attributes.erase(found);
    return Status::Ok();
  }
  if (file != 0) return Error{ErrorCode::kCorrupt, 0, "it has a base table but is not the first file"};
  Result<BaseTable> table = ParseBaseTable(found->value, 0);
  if (!table.ok()) return WithContext(table.take_error(), "base table");
  index.base = std::move(table).value();
  attributes.erase(found);
  return Status::Ok();
}

Result<ArchiveIndex> ParseBody(ByteSpan body, bool is_tree, bool has_patches) {
  ReadCursor cursor(body);
  ArchiveIndex index;
  index.is_tree = is_tree;
  FLYWEIGHT_ASSIGN(auto file_count, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(auto reserved, cursor.Read<uint32_t>());
  if (reserved != 0) return CorruptAt(cursor, "a reserved field is not 0");
  FLYWEIGHT_TRY(CheckCount(cursor, file_count, wire::kFileMinBytes, wire::kFileMaxCount, "files"));
  index.files.resize(file_count);
  uint64_t extent_limit = wire::kExtentMaxCount;
  for (size_t i = 0; i < index.files.size(); ++i) {
    auto status = ReadFile(cursor, is_tree, extent_limit, index.files[i]);
    if (status.ok()) status = TakeBaseTable(i, has_patches, index);
    if (!status.ok()) return WithContext(status.take_error(), "file " + std::to_string(i));
    extent_limit -= index.files[i].extents.size();
  }
  if (cursor.remaining() != 0) {
    return CorruptAt(cursor, std::to_string(cursor.remaining()) + " bytes are left after the last file");
  }
  return index;
}

}  // namespace

Result<ArchiveIndex> ParseIndex(ByteSpan body, uint64_t records_end_offset, bool is_tree, bool has_patches) {
  auto index = ParseBody(body, is_tree, has_patches);
  if (!index.ok()) return WithContext(index.take_error(), "index");
  FLYWEIGHT_TRY(ValidateIndex(index.value(), records_end_offset));
  return index;
}

}  // namespace flyweight
