#include <algorithm>
#include <memory>

#include "codec/patch_record.h"
#include "codec/record_side.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampledChunks = 4;

Status ReadChunk(const ByteSource& source, uint64_t offset, uint64_t size_bytes, AlignedBuffer& buffer) {
  buffer.Resize(size_bytes);
  if (size_bytes == 0) return {};
  return source.ReadAt(offset, {buffer.data(), size_bytes});
}

}  // namespace

Result<PatchPlan> PlanPatchRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                  const Shape& shape, const ByteSource& base, uint64_t base_offset, uint64_t base_bytes,
                                  DType base_dtype, Level level, CodecScratch& scratch) {
  (void)shape;
  dtype = RecordDType(dtype);
  base_dtype = RecordDType(base_dtype);
  if (size_bytes % ElementBytes(dtype) != 0) dtype = DType::kOpaque;
  if (base_bytes % ElementBytes(base_dtype) != 0) base_dtype = DType::kOpaque;
  PatchPlan plan;
  plan.estimated_bytes = kNoPatchBytes;
  if (!PatchFits(dtype, base_dtype)) return plan;
  auto side = std::make_shared<RecordHead::Side>();
  side->transform = TransformId::kPatch;
  side->first_codecs_only = true;
  side->patch = PatchSide{base_dtype, base_bytes};
  RecordHead& head = plan.record.head;
  plan.record.level = level;
  FillRecordGeometry(dtype, size_bytes, ChunkBytesFor(dtype) / ElementBytes(dtype), head);
  head.side = std::move(side);
  plan.record.head_bytes = WriteRecordHead(head, scratch.impl().planes);

  AlignedBuffer chunk, base_chunk, frame;
  const uint64_t sampled = std::min(kSampledChunks, head.chunk_count);
  uint64_t frame_bytes = 0, chunk_bytes = 0;
  for (uint64_t s = 0; s < sampled; ++s) {
    const uint64_t i = s * head.chunk_count / sampled;
    const uint64_t size = head.ChunkDecodedBytes(i);
    const BaseRange range = BaseRangeOf(head, i);
    FLYWEIGHT_TRY(ReadChunk(source, offset + i * head.chunk_bytes, size, chunk));
    FLYWEIGHT_TRY(ReadChunk(base, base_offset + range.begin_bytes, range.size_bytes, base_chunk));
    frame.Resize(FrameBound(size));
    frame_bytes += EncodePatchFrame(plan.record, i, {chunk.data(), size}, {base_chunk.data(), range.size_bytes},
                                    {frame.data(), FrameBound(size)}, scratch)
                       .frame_bytes;
    chunk_bytes += size;
  }
  plan.estimated_bytes = plan.record.head_bytes.size() + head.chunk_count * kChunkEntryBytes;
  if (chunk_bytes != 0) {
    plan.estimated_bytes += static_cast<uint64_t>(static_cast<double>(frame_bytes) / static_cast<double>(chunk_bytes) *
                                                  static_cast<double>(size_bytes));
  }
  return plan;
}

}  // namespace flyweight
