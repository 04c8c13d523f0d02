#include "pipeline/listing.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "archive/wire.h"
#include "delta/identity.h"
#include "pipeline/decode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/lossy_compare.h"
#include "strip/strip_report.h"

namespace flyweight {
namespace {

/// Bytes that an extent takes in the archive beside its row in the index.
uint64_t StoredBytes(const IndexExtent& extent) {
  switch (extent.place) {
    case PlaceKind::kInline:
      return extent.inline_bytes.size();
    case PlaceKind::kRecord:
    case PlaceKind::kPieces:
    case PlaceKind::kPatched:
      return extent.record_bytes;
    case PlaceKind::kBase:
    case PlaceKind::kCast:
    case PlaceKind::kSame:
    case PlaceKind::kExternal:
      break;
  }
  return 0;
}

/// Bytes of an extent that are stored with another, or once for several places in it.
uint64_t SharedBytes(const IndexExtent& extent) {
  switch (extent.place) {
    case PlaceKind::kSame:
    case PlaceKind::kCast:
      return extent.decoded_bytes;
    case PlaceKind::kPieces:
      return extent.decoded_bytes - std::min(extent.own_bytes, extent.decoded_bytes);
    case PlaceKind::kInline:
    case PlaceKind::kRecord:
    case PlaceKind::kExternal:
    case PlaceKind::kPatched:
    case PlaceKind::kBase:
      break;
  }
  return 0;
}

/// How the index says that an extent follows from a base.
void DescribePatch(const ArchiveReader& reader, const IndexExtent& extent, ListedTensor& listed) {
  const IndexExtent& place = reader.Resolve(extent);
  bool is_patched = place.place == PlaceKind::kPatched;
  if (!is_patched && place.place != PlaceKind::kBase) return;
  listed.patch = is_patched ? PatchKind::kPatch : PatchKind::kSame;
  listed.patch_depth = is_patched ? place.patch_depth : 0;
  if (is_patched && !place.base_is_outside) return;
  listed.base_name = reader.base_table()->rows[static_cast<size_t>(place.base_number)].name;
}

ListedTensor DescribeExtent(const IndexExtent& extent, size_t file) {
  ListedTensor listed;
  listed.file = file;
  listed.is_shared = extent.place == PlaceKind::kSame || extent.place == PlaceKind::kCast;
  listed.shared_bytes = SharedBytes(extent);
  listed.name = extent.name;
  listed.dtype = extent.dtype;
  listed.shape = extent.shape;
  listed.is_tensor = extent.is_tensor;
  listed.decoded_bytes = extent.decoded_bytes;
  listed.stored_bytes = StoredBytes(extent);
  if (extent.digest_algorithm != DigestAlgorithm::kNone) listed.digest_hex = ToHex(extent.digest);
  return listed;
}

ListedFile DescribeEntry(const ArchiveIndex& index, size_t number) {
  const IndexFile& file = index.files[number];
  ListedFile listed;
  listed.name = file.name;
  listed.entry = file.entry;
  listed.link_target = file.entry.kind == EntryKind::kHardLink ? index.files[file.hard_link_to].name : file.link_target;
  listed.container_format = std::string(ContainerFormatName(file.container_format));
  listed.file_bytes = file.file_bytes;
  if (file.has_sha256) listed.sha256_hex = ToHex(file.sha256);
  return listed;
}

/// What the index says of lossy tensors.
Status DescribeLosses(const IndexFile& file, std::span<ListedTensor> extents, ListedFile& listed) {
  FLYWEIGHT_ASSIGN(std::vector<LossyRow> rows, LossyRowsOf(file));
  for (const LossyRow& row : rows) {
    extents[row.extent].lossy = LossyInfo{NameOf(row.choice), row.max_error, row.rms_error};
    if (row.choice.method == LossyMethod::kDelta) extents[row.extent].lossy->relative_error = row.relative_error;
  }
  listed.is_lossy = !rows.empty();
  for (const IndexAttribute& attribute : file.attributes) {
    if (attribute.kind != wire::kAttributeOriginal) continue;
    FLYWEIGHT_ASSIGN(OriginalFile original, ParseOriginalFile(attribute.value));
    listed.original_sha256_hex = ToHex(original.sha256);
    listed.original_bytes = original.file_bytes;
  }
  return Status::Ok();
}

/// What the index says of tensors that were removed.
Status DescribeStripped(const IndexFile& file, ListedFile& listed) {
  for (const IndexAttribute& attribute : file.attributes) {
    if (attribute.kind != wire::kAttributeStripped) continue;
    FLYWEIGHT_ASSIGN(std::vector<RemovedTensor> removed, ParseRemovedTensors(attribute.value));
    for (RemovedTensor& tensor : removed) listed.stripped.push_back({std::move(tensor.name), tensor.size_bytes});
  }
  return Status::Ok();
}

Result<ArchiveListing> List(const std::string& path) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(path, std::string(kStreamPath)));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  return DescribeArchive(reader, path);
}

Result<bool> StartsAsArchive(const std::string& path) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(path, std::string(kStreamPath)));
  std::array<std::byte, 8> first_bytes;
  if (input.source->size() < first_bytes.size()) return false;
  FLYWEIGHT_TRY(input.source->ReadAt(0, first_bytes));
  return LooksLikeArchive(first_bytes);
}

}  // namespace

Result<ArchiveListing> DescribeArchive(const ArchiveReader& reader, const std::string& path) {
  const ArchiveIndex& index = reader.index();
  ArchiveListing listing;
  listing.path = path;
  listing.is_tree = index.is_tree;
  listing.is_lossy = reader.is_lossy();
  listing.archive_bytes = reader.archive_bytes();
  listing.file_bytes = DecodedBytes(index, AllFiles(index));
  listing.damage = reader.damage();
  if (std::optional<Digest> identity = IdentityOf(index)) listing.identity_hex = ToHex(*identity);
  if (const BaseTable* base = reader.base_table()) {
    listing.base = ListedBase{base->name, ToHex(base->identity), base->rows.size()};
  }
  listing.files.reserve(index.files.size());
  for (size_t number = 0; number < index.files.size(); ++number) {
    ListedFile& file = listing.files.emplace_back(DescribeEntry(index, number));
    for (const IndexExtent& extent : index.files[number].extents) {
      ListedTensor& listed = listing.extents.emplace_back(DescribeExtent(extent, number));
      DescribePatch(reader, extent, listed);
      file.stored_bytes += listed.stored_bytes;
      file.tensor_count += listed.is_tensor;
    }
    size_t extent_count = index.files[number].extents.size();
    FLYWEIGHT_TRY(DescribeLosses(index.files[number], std::span(listing.extents).last(extent_count), file));
    FLYWEIGHT_TRY(DescribeStripped(index.files[number], file));
    listing.is_stripped = listing.is_stripped || !file.stripped.empty();
    if (file.is_lossy && !listing.is_lossy) {
      return Error{ErrorCode::kCorrupt, 0, "a file of the archive has lossy tensors but its header does not say so"};
    }
  }
  return listing;
}

Result<ArchiveListing> ListArchive(const std::string& path) {
  return Guarded([&] { return List(path); });
}

Result<bool> IsArchive(const std::string& path) {
  return Guarded([&] { return StartsAsArchive(path); });
}

}  // namespace flyweight
