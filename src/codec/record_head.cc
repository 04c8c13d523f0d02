#include <algorithm>
#include <string>

#include "base/checked.h"
#include "codec/lossy_side.h"
#include "codec/mixed_codec.h"
#include "codec/record.h"
#include "codec/record_side.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr uint32_t kRecordMagic = 0x31525746;  // "FWR1"
constexpr uint64_t kChunkElements = uint64_t{1} << 18;
constexpr uint64_t kOpaqueChunkElements = uint64_t{1} << 20;
// Under this, side information costs more than its sharing saves.
constexpr uint64_t kMinFloatWords = 4096;
constexpr uint64_t kMinBlockBytes = 1024;

Result<std::shared_ptr<const RecordHead::Side>> ReadSide(uint8_t transform, const RecordHead& head, ByteSpan bytes) {
  auto side = std::make_shared<RecordHead::Side>();
  ReadCursor cursor(bytes, kRecordHeadMinBytes - sizeof(uint64_t));
  thread_local ZstdCoder zstd;  // making a decoder costs more than decoding a few thousand shifts
  if (transform == static_cast<uint8_t>(TransformId::kFloatFields)) {
    side->transform = TransformId::kFloatFields;
    FLYWEIGHT_ASSIGN(side->floats, ReadFloatSide(cursor, zstd));
  } else if (transform == static_cast<uint8_t>(TransformId::kLossy)) {
    side->transform = TransformId::kLossy;
    FLYWEIGHT_ASSIGN(side->lossy, ReadLossySide(cursor, head, zstd));
  } else if (transform == static_cast<uint8_t>(TransformId::kBlocks)) {
    side->transform = TransformId::kBlocks;
    if (head.dtype != DType::kOpaque)
      return Error{ErrorCode::kCorrupt, 8, "record head: blocks of a dtype that has elements"};
    FLYWEIGHT_ASSIGN(side->blocks, ReadBlockSide(cursor));
  } else if (transform == static_cast<uint8_t>(TransformId::kClasses)) {
    side->transform = TransformId::kClasses;
    FLYWEIGHT_ASSIGN(side->classes, ReadClassSide(cursor));
  } else if (transform == static_cast<uint8_t>(TransformId::kPatch)) {
    side->transform = TransformId::kPatch;
    FLYWEIGHT_ASSIGN(side->patch, ReadPatchSide(cursor, head));
    FLYWEIGHT_TRY(ReadPatchDense(cursor, head, *side->patch));
  } else if (transform == static_cast<uint8_t>(TransformId::kLossyPatch)) {
    side->transform = TransformId::kLossyPatch;
    FLYWEIGHT_ASSIGN(side->patch, ReadPatchSide(cursor, head));
    FLYWEIGHT_ASSIGN(side->lossy_patch, ReadLossyPatchSide(cursor, head));
  } else if (transform != static_cast<uint8_t>(TransformId::kNone)) {
    return Error{ErrorCode::kUnsupportedFeature, 10, "record head: unknown transform " + std::to_string(transform)};
  }
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "record head: bytes are left over"};
  return std::shared_ptr<const RecordHead::Side>(std::move(side));
}

struct Content {
  const ByteSource& source;
  uint64_t offset;
  uint64_t size_bytes;
  DType dtype;
  const Shape& shape;
  Level level;
};

Status PlanFloats(const Content& content, CodecScratch& scratch, RecordHead::Side& side) {
  std::optional<FloatLayout> layout = LayoutOf(content.dtype);
  if (!layout) return {};
  uint64_t word_bytes = Describe(*layout).word_bytes;
  uint64_t word_count = content.size_bytes / word_bytes;
  if (word_count < kMinFloatWords) return {};
  side.transform = TransformId::kFloatFields;
  FLYWEIGHT_ASSIGN(side.floats, PlanFloatSide(content.source, content.offset, word_count, *layout, content.shape,
                                              ElementBytes(content.dtype) / word_bytes, content.level, scratch));
  return {};
}

RecordPlan FinishPlan(DType dtype, uint64_t size_bytes, Level level, std::shared_ptr<RecordHead::Side> side,
                      CodecScratch& scratch) {
  RecordPlan plan;
  plan.level = level;
  FillRecordGeometry(dtype, size_bytes, ChunkBytesFor(dtype) / ElementBytes(dtype), plan.head);
  plan.head.side = std::move(side);
  plan.head_bytes = WriteRecordHead(plan.head, scratch.impl().planes);
  return plan;
}

}  // namespace

void FillRecordGeometry(DType dtype, uint64_t decoded_bytes, uint64_t chunk_elements, RecordHead& head) {
  head.dtype = dtype;
  head.decoded_bytes = decoded_bytes;
  head.chunk_bytes = chunk_elements * ElementBytes(dtype);
  head.chunk_count = CeilDiv(decoded_bytes, head.chunk_bytes);
}

std::vector<std::byte> WriteRecordHead(const RecordHead& head, PlaneScratch& planes) {
  ZstdCoder& zstd = planes.zstd;
  ByteWriter side;
  if (head.side->floats) WriteFloatSide(*head.side->floats, zstd, side);
  if (head.side->lossy) WriteLossySide(*head.side->lossy, zstd, side);
  if (head.side->classes) WriteClassSide(*head.side->classes, planes, side);
  if (head.side->blocks) WriteBlockSide(*head.side->blocks, side);
  if (head.side->patch) WritePatchSide(*head.side->patch, side);
  if (head.side->transform == TransformId::kPatch) WritePatchDense(*head.side->patch, side);
  if (head.side->lossy_patch) WriteLossyPatchSide(*head.side->lossy_patch, planes, side);
  ByteWriter writer;
  writer.Write(kRecordMagic);
  writer.Write(static_cast<uint32_t>(kRecordHeadMinBytes + side.size()));
  writer.Write(static_cast<uint16_t>(head.dtype));
  writer.Write(static_cast<uint8_t>(head.side->transform));
  writer.Write(uint8_t{0});
  writer.Write(static_cast<uint32_t>(head.chunk_bytes / ElementBytes(head.dtype)));
  writer.Write(head.decoded_bytes);
  writer.Write(uint64_t{0});
  writer.Append(side.bytes());
  writer.Write(Xxh3(writer.bytes()));
  return writer.Release();
}

uint64_t ChunkBytesFor(DType dtype) {
  return RecordDType(dtype) == DType::kOpaque ? kOpaqueChunkElements : kChunkElements * ElementBytes(dtype);
}

Result<RecordPlan> PlanRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                              const Shape& shape, Level level, CodecScratch& scratch) {
  const BlockLayout* blocks = FindBlockLayout(dtype);
  dtype = RecordDType(dtype);
  // Content that is not whole elements (it cannot come from a valid tensor) is bytes.
  if (size_bytes % ElementBytes(dtype) != 0) dtype = DType::kOpaque;
  auto side = std::make_shared<RecordHead::Side>();
  FLYWEIGHT_ASSIGN(side->classes, PlanClassSide(source, offset, size_bytes, dtype, shape, level, scratch));
  if (side->classes) {
    side->transform = TransformId::kClasses;
  } else {
    FLYWEIGHT_TRY(PlanFloats({source, offset, size_bytes, dtype, shape, level}, scratch, *side));
  }
  if (level == Level::kMax) {
    FLYWEIGHT_ASSIGN(side->hint_columns, PlanMixedColumns(source, offset, size_bytes, dtype, shape, scratch.impl()));
  }
  if (blocks != nullptr && size_bytes >= kMinBlockBytes) {
    side->transform = TransformId::kBlocks;
    side->blocks = BlockSide{blocks};
  }
  return FinishPlan(dtype, size_bytes, level, std::move(side), scratch);
}

Result<RecordPlan> PlanHalves(const ByteSource& source, DType dtype, const Shape& shape, CodecScratch& scratch) {
  auto side = std::make_shared<RecordHead::Side>();
  side->first_codecs_only = true;
  FLYWEIGHT_TRY(PlanFloats({source, 0, source.size(), dtype, shape, Level::kBalanced}, scratch, *side));
  return FinishPlan(dtype, source.size(), Level::kBalanced, std::move(side), scratch);
}

Result<uint32_t> PeekRecordHeadBytes(ByteSpan first_bytes) {
  ReadCursor cursor(first_bytes);
  FLYWEIGHT_ASSIGN(uint32_t magic, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint32_t head_bytes, cursor.Read<uint32_t>());
  if (magic != kRecordMagic) return Error{ErrorCode::kCorrupt, 0, "not the head of a record"};
  if (head_bytes < kRecordHeadMinBytes)
    return Error{ErrorCode::kCorrupt, 4, "record head: it says it has " + std::to_string(head_bytes) + " bytes"};
  if (head_bytes > kRecordHeadMaxBytes) {
    return Error{ErrorCode::kLimitExceeded, 4,
                 "record head: " + std::to_string(head_bytes) + " bytes are over the limit of 2 MiB"};
  }
  return head_bytes;
}

Result<RecordHead> ParseRecordHead(ByteSpan bytes) {
  FLYWEIGHT_ASSIGN(uint32_t head_bytes, PeekRecordHeadBytes(bytes));
  if (bytes.size() < head_bytes) return Error{ErrorCode::kTruncated, bytes.size(), "record head: it is cut off"};
  if (bytes.size() > head_bytes) return Error{ErrorCode::kCorrupt, head_bytes, "record head: bytes are left over"};
  ByteSpan body = bytes.first(head_bytes - sizeof(uint64_t));
  if (Xxh3(body) != LoadLe<uint64_t>(bytes.data() + body.size())) {
    return Error{ErrorCode::kChecksumMismatch, 0, "record head: its checksum does not match"};
  }

  ReadCursor cursor(body.subspan(8), 8);
  FLYWEIGHT_ASSIGN(uint16_t dtype, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(uint8_t transform, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t reserved8, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint32_t chunk_elements, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(uint64_t decoded_bytes, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(uint64_t reserved64, cursor.Read<uint64_t>());
  if (reserved8 != 0 || reserved64 != 0)
    return Error{ErrorCode::kUnsupportedFeature, 11, "record head: reserved fields are in use"};
  auto known = static_cast<DType>(dtype);
  if (Describe(known).dtype != known || RecordDType(known) != known)
    return Error{ErrorCode::kUnsupportedFeature, 8, "record head: unknown dtype " + std::to_string(dtype)};
  if (chunk_elements == 0 || chunk_elements * ElementBytes(known) > kChunkMaxBytes) {
    return Error{ErrorCode::kLimitExceeded, 12,
                 "record head: chunks of " + std::to_string(chunk_elements) + " elements"};
  }
  if (decoded_bytes % ElementBytes(known) != 0)
    return Error{ErrorCode::kCorrupt, 16, "record head: its bytes are not whole elements"};

  RecordHead head;
  FillRecordGeometry(known, decoded_bytes, chunk_elements, head);
  FLYWEIGHT_ASSIGN(head.side, ReadSide(transform, head, body.subspan(kRecordHeadMinBytes - sizeof(uint64_t))));
  if (head.side->floats && LayoutOf(known) != head.side->floats->layout) {
    return Error{ErrorCode::kCorrupt, 8, "record head: the float layout does not fit the dtype"};
  }
  if (head.side->classes && ClassLayoutOf(known) != head.side->classes->layout) {
    return Error{ErrorCode::kCorrupt, 8, "record head: the layout of classes does not fit the dtype"};
  }
  return head;
}

std::vector<std::byte> WriteChunkTable(const std::vector<ChunkEntry>& entries) {
  ByteWriter writer;
  for (const ChunkEntry& entry : entries) {
    writer.Write(entry.frame_bytes);
    writer.Write(entry.decoded_xxh3);
  }
  return writer.Release();
}

Result<std::vector<ChunkEntry>> ParseChunkTable(const RecordHead& head, ByteSpan bytes) {
  if (bytes.size() % kChunkEntryBytes != 0 || bytes.size() / kChunkEntryBytes != head.chunk_count) {
    return Error{ErrorCode::kCorrupt, 0,
                 "chunk table: it has " + std::to_string(bytes.size()) + " bytes for " +
                     std::to_string(head.chunk_count) + " chunks"};
  }
  std::vector<ChunkEntry> entries(bytes.size() / kChunkEntryBytes);
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::byte* row = bytes.data() + i * kChunkEntryBytes;
    entries[i] = {LoadLe<uint32_t>(row), LoadLe<uint64_t>(row + 4)};
    bool sized =
        entries[i].frame_bytes >= kFrameHeaderBytes && entries[i].frame_bytes <= FrameBound(head.ChunkDecodedBytes(i));
    if (!sized)
      return Error{ErrorCode::kCorrupt, i * kChunkEntryBytes,
                   "chunk table: chunk " + std::to_string(i) + " has an impossible size"};
  }
  return entries;
}

uint64_t RecordCheck(ByteSpan head_bytes, ByteSpan table_bytes) {
  std::vector<std::byte> joined(head_bytes.begin(), head_bytes.end());
  joined.insert(joined.end(), table_bytes.begin(), table_bytes.end());
  return Xxh3(joined);
}

}  // namespace flyweight
