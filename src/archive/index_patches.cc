#include "archive/index_patches.h"

#include <algorithm>
#include <string>

#include "archive/wire.h"

namespace flyweight {
namespace {

Error Corrupt(const std::string& what) { return {ErrorCode::kCorrupt, 0, what}; }

template <typename IsWanted>
bool AnyExtent(const ArchiveIndex& index, const IsWanted& is_wanted) {
  return std::ranges::any_of(index.files,
                             [&](const IndexFile& file) { return std::ranges::any_of(file.extents, is_wanted); });
}

const BaseRow* RowOf(const ArchiveIndex& index, uint64_t number) {
  if (!index.base.has_value() || number >= index.base->rows.size()) return nullptr;
  return &index.base->rows[static_cast<size_t>(number)];
}

Status CheckBasePlace(const ArchiveIndex& index, const IndexExtent& extent) {
  const BaseRow* row = RowOf(index, extent.base_number);
  if (row == nullptr) return Corrupt("it is said to be the same as a row that the base table does not have");
  if (row->size_bytes == extent.decoded_bytes) return Status::Ok();
  return Corrupt("it is said to be the same as a row of the base table that has another size");
}

Status CheckPatchedPlace(const ArchiveIndex& index, const IndexExtent& extent,
                         const std::vector<const IndexExtent*>& extents) {
  if (extent.patch_depth > wire::kPatchDepthMax) {
    return Error{ErrorCode::kLimitExceeded, 0,
                 "it is a patch on " + std::to_string(extent.patch_depth) + " others, which is more than the " +
                     std::to_string(wire::kPatchDepthMax) + " this program accepts"};
  }
  if (extent.base_is_outside) {
    if (RowOf(index, extent.base_number) == nullptr) return Corrupt("its base is no row of the base table");
    return extent.patch_depth == 1 ? Status::Ok() : Corrupt("its depth is not 1 though its base is outside");
  }
  if (extent.base_number >= extents.size()) return Corrupt("its base is an extent that does not exist");
  const IndexExtent& base = *extents[static_cast<size_t>(extent.base_number)];
  if (base.place == PlaceKind::kSame) return Corrupt("its base is an extent that holds no bytes itself");
  if (base.decoded_bytes == 0) return Corrupt("its base has no bytes");
  uint64_t base_depth = base.place == PlaceKind::kPatched ? base.patch_depth : 0;
  return extent.patch_depth == base_depth + 1 ? Status::Ok() : Corrupt("its depth is not 1 more than that of its base");
}

}  // namespace

bool HasPatches(const ArchiveIndex& index) {
  return index.base.has_value() || AnyExtent(index, [](const IndexExtent& extent) {
           return extent.place == PlaceKind::kPatched || extent.place == PlaceKind::kBase;
         });
}

bool NeedsBase(const ArchiveIndex& index) {
  return AnyExtent(index, [](const IndexExtent& extent) {
    return extent.place == PlaceKind::kBase || (extent.place == PlaceKind::kPatched && extent.base_is_outside);
  });
}

Status ReadPatchedPlace(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(extent.record_offset, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(extent.record_bytes, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(extent.record_check, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(auto where, cursor.Read<uint8_t>());
  if (where > 1)
    return Error{ErrorCode::kCorrupt, cursor.offset(), "the base of a patch is in a place of unknown kind"};
  extent.base_is_outside = where == 1;
  FLYWEIGHT_ASSIGN(extent.base_number, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(extent.patch_depth, cursor.Read<uint32_t>());
  return Status::Ok();
}

Status ReadBasePlace(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(extent.base_number, cursor.Read<uint64_t>());
  return Status::Ok();
}

void WritePatchedPlace(ByteWriter& writer, const IndexExtent& extent) {
  writer.Write(extent.record_offset);
  writer.Write(extent.record_bytes);
  writer.Write(extent.record_check);
  writer.Write(static_cast<uint8_t>(extent.base_is_outside ? 1 : 0));
  writer.Write(extent.base_number);
  writer.Write(extent.patch_depth);
}

void WriteBasePlace(ByteWriter& writer, const IndexExtent& extent) { writer.Write(extent.base_number); }

Status CheckPatches(const ArchiveIndex& index, const std::vector<const IndexExtent*>& extents) {
  if (index.base.has_value()) {
    Status status = CheckBaseTable(*index.base);
    if (!status.ok()) return WithContext(status.take_error(), "index");
  }
  for (size_t i = 0; i < index.files.size(); ++i) {
    for (size_t j = 0; j < index.files[i].extents.size(); ++j) {
      const IndexExtent& extent = index.files[i].extents[j];
      Status status;
      if (extent.place == PlaceKind::kBase) status = CheckBasePlace(index, extent);
      if (extent.place == PlaceKind::kPatched) status = CheckPatchedPlace(index, extent, extents);
      if (status.ok()) continue;
      return WithContext(status.take_error(), "index: file " + std::to_string(i) + ": extent " + std::to_string(j));
    }
  }
  return Status::Ok();
}

}  // namespace flyweight
