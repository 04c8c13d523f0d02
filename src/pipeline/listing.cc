#include "pipeline/listing.h"

#include <algorithm>
#include <array>

#include "pipeline/decode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

std::string FormatName(ContainerFormat format) {
  switch (format) {
    case ContainerFormat::kRaw:
      return "raw";
    case ContainerFormat::kSafetensors:
      return "safetensors";
  }
  return "unknown";
}

/// Bytes that an extent takes in the archive beside its row in the index.
uint64_t StoredBytes(const IndexExtent& extent) {
  switch (extent.place) {
    case PlaceKind::kInline:
      return extent.inline_bytes.size();
    case PlaceKind::kRecord:
      return extent.record_bytes;
    case PlaceKind::kSame:
    case PlaceKind::kExternal:
      break;
  }
  return 0;
}

ListedTensor DescribeExtent(const IndexExtent& extent) {
  ListedTensor listed;
  listed.name = extent.name;
  listed.dtype = extent.dtype;
  listed.shape = extent.shape;
  listed.is_tensor = extent.is_tensor;
  listed.decoded_bytes = extent.decoded_bytes;
  listed.stored_bytes = StoredBytes(extent);
  if (extent.digest_algorithm != DigestAlgorithm::kNone) listed.digest_hex = ToHex(extent.digest);
  return listed;
}

Result<ArchiveListing> List(const std::string& path) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenInput(path, std::string(kStreamPath)));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  return DescribeArchive(reader, path);
}

Result<bool> StartsAsArchive(const std::string& path) {
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> file, FileSource::Open(path));
  std::array<std::byte, 8> first_bytes;
  if (file->size() < first_bytes.size()) return false;
  FLYWEIGHT_TRY(file->ReadAt(0, first_bytes));
  return LooksLikeArchive(first_bytes);
}

}  // namespace

Result<ArchiveListing> DescribeArchive(const ArchiveReader& reader, const std::string& path) {
  FLYWEIGHT_ASSIGN(const IndexFile* file, SingleFileOf(reader));
  ArchiveListing listing;
  listing.path = path;
  listing.archive_bytes = reader.archive_bytes();
  listing.file_bytes = file->file_bytes;
  listing.file_name = file->name;
  listing.container_format = FormatName(file->container_format);
  if (file->has_sha256) listing.sha256_hex = ToHex(file->sha256);
  listing.damage = reader.damage();
  listing.extents.reserve(file->extents.size());
  for (const IndexExtent& extent : file->extents) listing.extents.push_back(DescribeExtent(extent));
  return listing;
}

Result<ArchiveListing> ListArchive(const std::string& path) {
  return Guarded([&] { return List(path); });
}

Result<bool> IsArchive(const std::string& path) {
  return Guarded([&] { return StartsAsArchive(path); });
}

}  // namespace flyweight
