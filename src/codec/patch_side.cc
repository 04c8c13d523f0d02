#include "codec/patch_side.h"

#include <algorithm>
#include <string>

#include "codec/dense_side.h"
#include "codec/patch_record.h"
#include "codec/record_side.h"

namespace flyweight {
namespace {

constexpr uint8_t kHasDense = 1;

}  // namespace

PatchWord PatchWordOf(DType dtype) {
  if (dtype == DType::kC64) return {4, BaseDifference::kOrdered};
  const DTypeInfo& info = Describe(dtype);
  bool is_float = info.exponent_bits != 0 && info.mantissa_bits != 0 && info.bits >= 8;
  return {ElementBytes(dtype), is_float ? BaseDifference::kOrdered : BaseDifference::kModulo};
}

bool PatchFits(DType record_dtype, DType base_dtype) { return ElementBytes(record_dtype) == ElementBytes(base_dtype); }

void WritePatchSide(const PatchSide& side, ByteWriter& writer) {
  writer.Write(static_cast<uint16_t>(side.base_dtype));
  writer.Write(side.base_bytes);
  SerializePredictor(side.predictor, writer);
}

void WritePatchDense(const PatchSide& side, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(side.dense != nullptr ? kHasDense : 0));
  if (side.dense != nullptr) WriteDenseSide(*side.dense, writer);
}

Result<PatchSide> ReadPatchSide(ReadCursor& cursor, const RecordHead& head) {
  uint64_t at = cursor.offset();
  PatchSide side;
  FLYWEIGHT_ASSIGN(uint16_t dtype, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(side.base_bytes, cursor.Read<uint64_t>());
  side.base_dtype = static_cast<DType>(dtype);
  if (Describe(side.base_dtype).dtype != side.base_dtype || RecordDType(side.base_dtype) != side.base_dtype)
    return Error{ErrorCode::kUnsupportedFeature, at, "record head: unknown dtype of a base " + std::to_string(dtype)};
  const uint64_t element_bytes = ElementBytes(head.dtype);
  FLYWEIGHT_ASSIGN(side.predictor,
                   ParsePredictor(cursor, head.dtype, side.base_dtype, head.decoded_bytes / element_bytes));
  const bool widths_fit = side.predictor.kind != PredictorKind::kNone || PatchFits(head.dtype, side.base_dtype);
  if (!widths_fit || side.base_bytes % ElementBytes(side.base_dtype) != 0)
    return Error{ErrorCode::kCorrupt, at, "record head: the base does not fit the patch"};
  return side;
}

Status ReadPatchDense(ReadCursor& cursor, const RecordHead& head, PatchSide& side) {
  uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint8_t dense, cursor.Read<uint8_t>());
  if (dense > kHasDense)
    return Error{ErrorCode::kUnsupportedFeature, at, "record head: unknown side information of a patch"};
  if (dense == kHasDense) {
    std::optional<FloatLayout> layout = LayoutOf(head.dtype);
    if (!layout) return Error{ErrorCode::kCorrupt, at, "record head: dense differences of elements that are no floats"};
    FLYWEIGHT_ASSIGN(DenseSide read, ReadDenseSide(cursor, *layout));
    side.dense = std::make_shared<const DenseSide>(std::move(read));
  }
  return {};
}

std::optional<PatchBase> PatchBaseOf(const RecordHead& head) {
  if (!head.side->patch) return std::nullopt;
  return PatchBase{head.side->patch->base_dtype, head.side->patch->base_bytes};
}

BaseRange BaseRangeOf(const RecordHead& head, uint64_t chunk_index) {
  const PatchSide& side = *head.side->patch;
  const uint64_t element_bytes = ElementBytes(head.dtype), base_element_bytes = ElementBytes(side.base_dtype);
  const uint64_t first_element = head.chunk_bytes / element_bytes * chunk_index;
  const uint64_t held = side.base_bytes / base_element_bytes;
  if (first_element >= held) return {side.base_bytes, 0};
  const uint64_t count = std::min(head.ChunkDecodedBytes(chunk_index) / element_bytes, held - first_element);
  return {first_element * base_element_bytes, count * base_element_bytes};
}

}  // namespace flyweight
