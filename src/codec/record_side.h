#pragma once

#include <optional>

#include "codec/block_side.h"
#include "codec/class_side.h"
#include "codec/codec_id.h"
#include "codec/float_side.h"
#include "codec/lossy_patch_side.h"
#include "codec/patch_side.h"
#include "codec/record.h"
#include "flyweight/lossy.h"

namespace flyweight {

/// Side information of a lossy record (docs/format.md section 3.6).
struct LossySide {
  LossyChoice choice;
  RecordHead halves;  ///< of methods F16 and BF16: the record that the rounded elements would be
};

/// The side information of any transform.
struct RecordHead::Side {
  TransformId transform = TransformId::kNone;
  std::optional<FloatSide> floats;
  std::optional<LossySide> lossy;
  std::optional<ClassSide> classes;
  bool first_codecs_only = false;  ///< encoder only: chunks are halves of a lossy record, which has numbers for 0 to 4
  std::optional<BlockSide> blocks;
  std::optional<PatchSide> patch;  ///< of lossy patches too
  std::optional<LossyPatchSide> lossy_patch;
  uint64_t hint_columns = 0;  ///< encoder only: row length in words for the mixed codec, 0 where unknown
};

/// Fills in everything of a head but its side information.
void FillRecordGeometry(DType dtype, uint64_t decoded_bytes, uint64_t chunk_elements, RecordHead& head);

/// PlanRecord for the halves of a lossy record.
Result<RecordPlan> PlanHalves(const ByteSource& source, DType dtype, const Shape& shape, CodecScratch& scratch);

/// The bytes of a head.
std::vector<std::byte> WriteRecordHead(const RecordHead& head, PlaneScratch& planes);

/// The dtype that a tensor's record is encoded as: block types are bytes to every codec.
inline DType RecordDType(DType dtype) { return IsBlockType(Describe(dtype)) ? DType::kOpaque : dtype; }

/// Bytes of one element as chunks count them: those of the dtype; 1 for types of less than 8 bits.
inline uint64_t ElementBytes(DType dtype) {
  int bits = Describe(dtype).bits;
  return bits < 8 ? 1 : static_cast<uint64_t>(bits) / 8;
}

}  // namespace flyweight
