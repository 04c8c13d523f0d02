#include "archive/index.h"
#include "archive/index_patches.h"
#include "archive/index_shared.h"
#include "archive/wire.h"

namespace flyweight {
namespace {

void WriteName(ByteWriter& writer, const std::string& name) {
  writer.Write(static_cast<uint16_t>(name.size()));
  writer.Append(AsBytes(name));
}

void WriteTensor(ByteWriter& writer, const IndexExtent& extent) {
  writer.Write(static_cast<uint16_t>(extent.dtype));
  writer.Write(static_cast<uint8_t>(extent.shape.size()));
  writer.Write(uint8_t{0});
  for (uint64_t dimension : extent.shape) writer.Write(dimension);
  WriteName(writer, extent.name);
  writer.Write(static_cast<uint8_t>(extent.digest_algorithm));
  writer.Append(extent.digest);
}

void WritePlace(ByteWriter& writer, const IndexExtent& extent) {
  switch (extent.place) {
    case PlaceKind::kInline:
      writer.Write(static_cast<uint32_t>(extent.inline_bytes.size()));
      writer.Append(extent.inline_bytes);
      return;
    case PlaceKind::kRecord:
      writer.Write(extent.record_offset);
      writer.Write(extent.record_bytes);
      writer.Write(extent.record_check);
      return;
    case PlaceKind::kSame:
      writer.Write(extent.same_as);
      return;
    case PlaceKind::kExternal:
      return;
    case PlaceKind::kPieces:
      return WritePiecesPlace(writer, extent);
    case PlaceKind::kCast:
      return WriteCastPlace(writer, extent);
    case PlaceKind::kPatched:
      return WritePatchedPlace(writer, extent);
    case PlaceKind::kBase:
      return WriteBasePlace(writer, extent);
  }
}

void WriteExtent(ByteWriter& writer, const IndexExtent& extent) {
  writer.Write(static_cast<uint8_t>(extent.place));
  writer.Write(static_cast<uint8_t>(extent.is_tensor ? 1 : 0));
  writer.Write(extent.decoded_bytes);
  if (extent.is_tensor) WriteTensor(writer, extent);
  WritePlace(writer, extent);
}

void WriteTime(ByteWriter& writer, const FileTime& time) {
  writer.Write(time.seconds);
  writer.Write(time.nanoseconds);
}

void WriteAttributeHead(ByteWriter& writer, uint16_t kind, size_t value_bytes) {
  writer.Write(kind);
  writer.Write(static_cast<uint32_t>(value_bytes));
}

/// What only trees have: entry, and the target of a link.
void WriteEntry(ByteWriter& writer, const IndexFile& file) {
  WriteAttributeHead(writer, wire::kAttributeEntry, wire::kEntryBytes);
  writer.Write(static_cast<uint8_t>(file.entry.kind));
  writer.Write(uint8_t{0});
  writer.Write(file.entry.mode);
  WriteTime(writer, file.entry.modified);
  WriteTime(writer, file.entry.accessed);
  if (file.entry.kind == EntryKind::kSymlink) {
    WriteAttributeHead(writer, wire::kAttributeLinkTarget, file.link_target.size());
    writer.Append(AsBytes(file.link_target));
  } else if (file.entry.kind == EntryKind::kHardLink) {
    WriteAttributeHead(writer, wire::kAttributeHardLink, sizeof file.hard_link_to);
    writer.Write(file.hard_link_to);
  }
}

void WriteAttributes(ByteWriter& writer, const IndexFile& file, bool is_tree, const BaseTable* base) {
  bool is_link = file.entry.kind == EntryKind::kSymlink || file.entry.kind == EntryKind::kHardLink;
  size_t entry_count = is_tree ? (is_link ? 2 : 1) : 0;
  writer.Write(static_cast<uint32_t>(entry_count + file.attributes.size() + (base == nullptr ? 0 : 1)));
  if (is_tree) WriteEntry(writer, file);
  for (const IndexAttribute& attribute : file.attributes) {
    WriteAttributeHead(writer, attribute.kind, attribute.value.size());
    writer.Append(attribute.value);
  }
  if (base == nullptr) return;
  std::vector<std::byte> table = WriteBaseTable(*base);
  WriteAttributeHead(writer, wire::kAttributeBaseTable, table.size());
  writer.Append(table);
}

/// At least the bytes of the body, but for attributes and links, which are rare.
size_t EstimateBytes(const ArchiveIndex& index) {
  constexpr size_t kFileBytes = wire::kFileMinBytes + wire::kAttributeMinBytes + wire::kEntryBytes;
  constexpr size_t kExtentBytes = 96;
  size_t total_bytes = 0;
  for (const IndexFile& file : index.files) {
    total_bytes += kFileBytes + file.name.size();
    for (const IndexExtent& extent : file.extents) {
      total_bytes += kExtentBytes + extent.name.size() + extent.shape.size() * sizeof(uint64_t) +
                     extent.inline_bytes.size() + extent.pieces.size() * wire::kPieceBytes;
    }
  }
  return total_bytes;
}

}  // namespace

std::vector<std::byte> SerializeIndex(const ArchiveIndex& index) {
  ByteWriter writer;
  writer.Reserve(EstimateBytes(index));
  writer.Write(static_cast<uint32_t>(index.files.size()));
  writer.Write(uint32_t{0});
  for (const IndexFile& file : index.files) {
    WriteName(writer, file.name);
    writer.Write(static_cast<uint8_t>(file.container_format));
    writer.Write(static_cast<uint8_t>(file.has_sha256 ? 1 : 0));
    writer.Append(file.sha256);
    writer.Write(file.file_bytes);
    bool has_base = index.base.has_value() && &file == &index.files.front();
    WriteAttributes(writer, file, index.is_tree, has_base ? &*index.base : nullptr);
    writer.Write(uint64_t{file.extents.size()});
    for (const IndexExtent& extent : file.extents) WriteExtent(writer, extent);
  }
  return writer.Release();
}

}  // namespace flyweight
