#include "archive/index_shared.h"

#include <algorithm>
#include <string>

#include "archive/wire.h"
#include "base/checked.h"

namespace flyweight {
namespace {

Error Corrupt(const std::string& what) { return {ErrorCode::kCorrupt, 0, what}; }

}  // namespace

bool HasSharedPlaces(const ArchiveIndex& index) {
  auto is_shared = [](const IndexExtent& extent) {
    return extent.place == PlaceKind::kPieces || extent.place == PlaceKind::kCast;
  };
  return std::ranges::any_of(index.files,
                             [&](const IndexFile& file) { return std::ranges::any_of(file.extents, is_shared); });
}

Status ReadPiecesPlace(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(extent.own_bytes, cursor.Read<uint64_t>());
  if (extent.own_bytes != 0) {
    FLYWEIGHT_ASSIGN(extent.record_offset, cursor.Read<uint64_t>());
    FLYWEIGHT_ASSIGN(extent.record_bytes, cursor.Read<uint64_t>());
    FLYWEIGHT_ASSIGN(extent.record_check, cursor.Read<uint64_t>());
  }
  FLYWEIGHT_ASSIGN(auto piece_count, cursor.Read<uint32_t>());
  if (piece_count > cursor.remaining() / wire::kPieceBytes) {
    return Error{ErrorCode::kTruncated, cursor.offset(),
                 std::to_string(piece_count) + " pieces do not fit into the " + std::to_string(cursor.remaining()) +
                     " bytes that are left"};
  }
  extent.pieces.resize(piece_count);
  for (IndexPiece& piece : extent.pieces) {
    FLYWEIGHT_ASSIGN(piece.size_bytes, cursor.Read<uint64_t>());
    FLYWEIGHT_ASSIGN(piece.extent, cursor.Read<uint32_t>());
    FLYWEIGHT_ASSIGN(piece.offset, cursor.Read<uint64_t>());
  }
  return Status::Ok();
}

Status ReadCastPlace(ReadCursor& cursor, IndexExtent& extent) {
  FLYWEIGHT_ASSIGN(auto method, cursor.Read<uint8_t>());
  if (method == 0 || method > kCastMethodLast) {
    return Error{ErrorCode::kUnsupportedFeature, cursor.offset(),
                 "cast method " + std::to_string(method) + " is unknown; a newer flyweight is needed"};
  }
  extent.cast_method = static_cast<CastMethod>(method);
  FLYWEIGHT_ASSIGN(extent.cast_of, cursor.Read<uint64_t>());
  return Status::Ok();
}

void WritePiecesPlace(ByteWriter& writer, const IndexExtent& extent) {
  writer.Write(extent.own_bytes);
  if (extent.own_bytes != 0) {
    writer.Write(extent.record_offset);
    writer.Write(extent.record_bytes);
    writer.Write(extent.record_check);
  }
  writer.Write(static_cast<uint32_t>(extent.pieces.size()));
  for (const IndexPiece& piece : extent.pieces) {
    writer.Write(piece.size_bytes);
    writer.Write(piece.extent);
    writer.Write(piece.offset);
  }
}

void WriteCastPlace(ByteWriter& writer, const IndexExtent& extent) {
  writer.Write(static_cast<uint8_t>(extent.cast_method));
  writer.Write(extent.cast_of);
}

Status CheckPieces(const IndexExtent& extent, const std::vector<const IndexExtent*>& extents) {
  uint64_t total_bytes = 0;
  for (const IndexPiece& piece : extent.pieces) {
    if (piece.size_bytes == 0) return Corrupt("one of its pieces is empty");
    if (piece.extent >= extents.size()) return Corrupt("one of its pieces is of an extent that is behind it");
    const IndexExtent& holder = *extents[piece.extent];
    if (!holder.has_record() || holder.place == PlaceKind::kPatched)
      return Corrupt("one of its pieces is of an extent that has no record");
    auto end = CheckedAdd(piece.offset, piece.size_bytes);
    if (!end || *end > holder.record_decoded_bytes()) return Corrupt("one of its pieces ends behind its record");
    auto sum = CheckedAdd(total_bytes, piece.size_bytes);
    if (!sum) return Corrupt("its pieces are over 2^64 bytes");
    total_bytes = *sum;
  }
  if (total_bytes == extent.decoded_bytes) return Status::Ok();
  return Corrupt("its pieces have " + std::to_string(total_bytes) + " bytes in place of " +
                 std::to_string(extent.decoded_bytes));
}

Status CheckCast(const IndexExtent& extent, const std::vector<const IndexExtent*>& extents) {
  if (!extent.is_tensor || extent.dtype != CastTarget(extent.cast_method)) {
    return Corrupt("it is a cast but no tensor of the dtype that the cast gives");
  }
  if (extent.cast_of >= extents.size()) return Corrupt("it is a cast of an extent that does not exist");
  const IndexExtent& source = *extents[static_cast<size_t>(extent.cast_of)];
  if (source.place != PlaceKind::kRecord && source.place != PlaceKind::kPieces) {
    return Corrupt("it is a cast of an extent that has no bytes of its own");
  }
  if (!source.is_tensor || source.dtype != DType::kF32 || source.decoded_bytes / 2 != extent.decoded_bytes) {
    return Corrupt("it is a cast of an extent that is no F32 tensor of as many elements");
  }
  return Status::Ok();
}

}  // namespace flyweight
