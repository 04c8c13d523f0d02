#pragma once

#include "codec/codec_test_tools.h"
#include "codec/patch_record.h"

// Patch records made and taken apart without an archive, on buffers that are exactly as large as the contract says.

namespace flyweight::test {

struct EncodedPatch {
  RecordPlan plan;
  uint64_t estimated_bytes = 0;
  std::vector<Bytes> frames;
  std::vector<ChunkEntry> table;

  uint64_t size_bytes() const {
    uint64_t size = plan.head_bytes.size() + table.size() * kChunkEntryBytes;
    for (const Bytes& frame : frames) size += frame.size();
    return size;
  }
};

inline ByteSpan BaseChunkOf(const RecordHead& head, ByteSpan base, uint64_t chunk_index) {
  BaseRange range = BaseRangeOf(head, chunk_index);
  return base.subspan(range.begin_bytes, range.size_bytes);
}

struct PatchInput {
  ByteSpan content;
  DType dtype = DType::kBF16;
  ByteSpan base;
  DType base_dtype = DType::kBF16;
  Shape shape = {};
  Level level = Level::kBalanced;
};

inline Result<EncodedPatch> EncodePatch(const PatchInput& input, CodecScratch& scratch) {
  EncodedPatch record;
  MemorySource content(input.content), base(input.base);
  FLYWEIGHT_ASSIGN(PatchPlan plan, PlanPatchRecord(content, 0, input.content.size(), input.dtype, input.shape, base, 0,
                                                   input.base.size(), input.base_dtype, input.level, scratch));
  record.estimated_bytes = plan.estimated_bytes;
  if (plan.estimated_bytes == kNoPatchBytes) return record;
  record.plan = std::move(plan.record);
  const RecordHead& head = record.plan.head;
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    ByteSpan chunk = ChunkOf(head, input.content, i);
    Bytes base_chunk(BaseChunkOf(head, input.base, i).begin(), BaseChunkOf(head, input.base, i).end());
    Bytes frame(FrameBound(chunk.size()));
    record.table.push_back(EncodePatchFrame(record.plan, i, chunk, base_chunk, frame, scratch));
    frame.resize(record.table.back().frame_bytes);
    frame.shrink_to_fit();
    record.frames.push_back(std::move(frame));
  }
  return record;
}

/// How the decoder is given its base.
enum class BasePlace { kApart, kInTarget };

inline Result<Bytes> DecodePatchChunkOf(const RecordHead& head, uint64_t chunk_index, ByteSpan frame,
                                        const ChunkEntry& entry, ByteSpan base_chunk, BasePlace place,
                                        CodecScratch& scratch) {
  Bytes chunk(head.ChunkDecodedBytes(chunk_index), std::byte{0xA5});
  Bytes apart(base_chunk.begin(), base_chunk.end());
  ByteSpan given = apart;
  if (place == BasePlace::kInTarget) {
    std::copy(base_chunk.begin(), base_chunk.end(), chunk.begin());
    given = ByteSpan(chunk).first(base_chunk.size());
  }
  FLYWEIGHT_TRY(DecodePatchFrame(head, chunk_index, frame, frame.size(), entry, given, chunk, scratch));
  return chunk;
}

/// Decodes head, table and frames, as a reader does.
inline Result<Bytes> DecodePatch(const EncodedPatch& record, ByteSpan base, BasePlace place, CodecScratch& scratch) {
  FLYWEIGHT_ASSIGN(RecordHead head, ParseRecordHead(record.plan.head_bytes));
  FLYWEIGHT_ASSIGN(std::vector<ChunkEntry> table, ParseChunkTable(head, WriteChunkTable(record.table)));
  Bytes content;
  for (size_t i = 0; i < table.size(); ++i) {
    FLYWEIGHT_ASSIGN(Bytes chunk, DecodePatchChunkOf(head, i, record.frames[i], table[i], BaseChunkOf(head, base, i),
                                                     place, scratch));
    content.insert(content.end(), chunk.begin(), chunk.end());
  }
  return content;
}

}  // namespace flyweight::test
