#include "archive/index.h"
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
  }
}

void WriteExtent(ByteWriter& writer, const IndexExtent& extent) {
  writer.Write(static_cast<uint8_t>(extent.place));
  writer.Write(static_cast<uint8_t>(extent.is_tensor ? 1 : 0));
  writer.Write(extent.decoded_bytes);
  if (extent.is_tensor) WriteTensor(writer, extent);
  WritePlace(writer, extent);
}

}  // namespace

std::vector<std::byte> SerializeIndex(const ArchiveIndex& index) {
  ByteWriter writer;
  writer.Write(static_cast<uint32_t>(index.files.size()));
  writer.Write(uint32_t{0});
  for (const IndexFile& file : index.files) {
    WriteName(writer, file.name);
    writer.Write(static_cast<uint8_t>(file.container_format));
    writer.Write(static_cast<uint8_t>(file.has_sha256 ? 1 : 0));
    writer.Append(file.sha256);
    writer.Write(file.file_bytes);
    writer.Write(uint32_t{0});
    writer.Write(uint64_t{file.extents.size()});
    for (const IndexExtent& extent : file.extents) WriteExtent(writer, extent);
  }
  return writer.Release();
}

}  // namespace flyweight
