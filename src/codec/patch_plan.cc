#include <algorithm>
#include <memory>

#include "codec/dense_plan.h"
#include "codec/patch_record.h"
#include "codec/patch_strips.h"
#include "codec/predictor_fit.h"
#include "codec/record_side.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampledChunks = 4;
// Frame, checksum of the base, row of the chunk table; and sizes and states of streams where there are any.
constexpr uint64_t kChunkOverheadBytes = 24 + 8 + 12;
constexpr uint64_t kStreamOverheadBytes = 24;

Status ReadChunk(const ByteSource& source, uint64_t offset, uint64_t size_bytes, AlignedBuffer& buffer) {
  buffer.Resize(size_bytes);
  if (size_bytes == 0) return {};
  return source.ReadAt(offset, {buffer.data(), size_bytes});
}

void FinishHead(PatchSide patch, RecordPlan& record, CodecScratch& scratch) {
  auto side = std::make_shared<RecordHead::Side>();
  side->transform = TransformId::kPatch;
  side->first_codecs_only = true;
  side->patch = std::move(patch);
  record.head.side = std::move(side);
  record.head_bytes = WriteRecordHead(record.head, scratch.impl().planes);
}

// What a head has for dense chunks, and these for the activities of rows, about.
uint64_t DenseSideBytes(const DenseSide& side) {
  ByteWriter writer;
  WriteDenseSide(side, writer);
  return writer.size() + side.rows.size() / 2;
}

// Bytes of a whole record, judged from some of its chunks.
Result<uint64_t> EstimateBySample(const RecordPlan& record, const SourcedTensor& tensor, const SourcedTensor& base,
                                  CodecScratch& scratch) {
  AlignedBuffer chunk, base_chunk, frame;
  const RecordHead& head = record.head;
  const uint64_t sampled = std::min(kSampledChunks, head.chunk_count);
  uint64_t frame_bytes = 0, chunk_bytes = 0;
  for (uint64_t s = 0; s < sampled; ++s) {
    const uint64_t i = s * head.chunk_count / sampled;
    const uint64_t size = head.ChunkDecodedBytes(i);
    const BaseRange range = BaseRangeOf(head, i);
    FLYWEIGHT_TRY(ReadChunk(tensor.source, tensor.offset + i * head.chunk_bytes, size, chunk));
    FLYWEIGHT_TRY(ReadChunk(base.source, base.offset + range.begin_bytes, range.size_bytes, base_chunk));
    frame.Resize(FrameBound(size));
    frame_bytes += EncodePatchFrame(record, i, {chunk.data(), size}, {base_chunk.data(), range.size_bytes},
                                    {frame.data(), FrameBound(size)}, scratch)
                       .frame_bytes;
    chunk_bytes += size;
  }
  uint64_t estimate = record.head_bytes.size() + head.chunk_count * kChunkEntryBytes;
  if (chunk_bytes != 0) {
    estimate += static_cast<uint64_t>(static_cast<double>(frame_bytes) / static_cast<double>(chunk_bytes) *
                                      static_cast<double>(tensor.size_bytes));
  }
  return estimate;
}

}  // namespace

Result<PatchPlan> PlanPatchRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                  const Shape& shape, const ByteSource& base, uint64_t base_offset, uint64_t base_bytes,
                                  DType base_dtype, Level level, CodecScratch& scratch) {
  dtype = RecordDType(dtype);
  base_dtype = RecordDType(base_dtype);
  if (size_bytes % ElementBytes(dtype) != 0) dtype = DType::kOpaque;
  if (base_bytes % ElementBytes(base_dtype) != 0) base_dtype = DType::kOpaque;
  PatchPlan plan;
  plan.estimated_bytes = kNoPatchBytes;
  const SourcedTensor tensor{source, offset, size_bytes, dtype};
  const SourcedTensor base_tensor{base, base_offset, base_bytes, base_dtype};
  PatchSide patch{base_dtype, base_bytes};
  FLYWEIGHT_ASSIGN(PredictorFit fit, FitPredictor(tensor, shape, base_tensor));
  patch.predictor = std::move(fit.predictor);
  if (patch.predictor.kind == PredictorKind::kNone && ElementBytes(dtype) != ElementBytes(base_dtype)) return plan;

  plan.record.level = level;
  FillRecordGeometry(dtype, size_bytes, ChunkBytesFor(dtype) / ElementBytes(dtype), plan.record.head);
  std::optional<DensePlan> dense;
  if (std::optional<FloatLayout> layout = LayoutOf(dtype)) {
    PatchStrips strips(tensor, base_tensor, patch);
    const uint64_t word_bytes = Describe(*layout).word_bytes;
    FLYWEIGHT_ASSIGN(dense,
                     PlanDense(strips, *layout, size_bytes / word_bytes, shape, ElementBytes(dtype) / word_bytes));
  }
  // Places and values of few changes that nothing predicts take less than classes of all words.
  uint64_t expected_bits = dense ? dense->estimated_bits : 0;
  if (dense && dense->sparse_bits <= expected_bits + 8 * DenseSideBytes(dense->side)) {
    expected_bits = dense->sparse_bits;
    dense.reset();
  }
  const uint64_t row_bytes = dense ? dense->side.rows.size() / 2 : 0;
  if (dense) patch.dense = std::make_shared<const DenseSide>(std::move(dense->side));
  FinishHead(std::move(patch), plan.record, scratch);
  if (LayoutOf(dtype)) {
    const uint64_t overhead_bytes = kChunkOverheadBytes + (expected_bits != 0 ? kStreamOverheadBytes : 0);
    plan.estimated_bytes = plan.record.head_bytes.size() + plan.record.head.chunk_count * overhead_bytes +
                           std::min(expected_bits / 8 + row_bytes, size_bytes);
  } else {
    FLYWEIGHT_ASSIGN(plan.estimated_bytes, EstimateBySample(plan.record, tensor, base_tensor, scratch));
  }
  return plan;
}

}  // namespace flyweight
