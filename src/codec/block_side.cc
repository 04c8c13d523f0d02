#include "codec/block_side.h"

#include <string>

namespace flyweight {

void WriteBlockSide(const BlockSide& side, ByteWriter& writer) {
  writer.Write(static_cast<uint16_t>(side.layout->dtype));
  writer.Write(uint16_t{0});
  writer.Write(uint32_t{0});
}

Result<BlockSide> ReadBlockSide(ReadCursor& cursor) {
  uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint16_t dtype, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(uint16_t reserved16, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(uint32_t reserved32, cursor.Read<uint32_t>());
  if (reserved16 != 0 || reserved32 != 0)
    return Error{ErrorCode::kUnsupportedFeature, at, "record head: reserved fields of its blocks are in use"};
  const BlockLayout* layout = FindBlockLayout(static_cast<DType>(dtype));
  if (layout == nullptr)
    return Error{ErrorCode::kUnsupportedFeature, at, "record head: unknown block type " + std::to_string(dtype)};
  return BlockSide{layout};
}

}  // namespace flyweight
