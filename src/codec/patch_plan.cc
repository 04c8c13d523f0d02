#include <algorithm>
#include <memory>

#include "codec/dense_plan.h"
#include "codec/patch_differences.h"
#include "codec/patch_record.h"
#include "codec/patch_strips.h"
#include "codec/patch_trial.h"
#include "codec/predictor_fit.h"
#include "codec/record_side.h"
#include "codec/scratch.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampledChunks = 4;
// Frame, checksum of the base, row of the chunk table; and sizes and states of streams where there are any.
constexpr uint64_t kChunkOverheadBytes = 24 + 8 + 12;
constexpr uint64_t kStreamOverheadBytes = 24;
// Tensors so small are tried rather than estimated.
constexpr uint64_t kSmallBytes = uint64_t{64} << 10;
constexpr uint64_t kTellingChunks = 3;
// How far estimates may be off.
constexpr double kWorthATry = 1.5;
constexpr double kClearlyLess = 0.95;

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

// Whether places and values of few changes that nothing predicts take less than classes of all words.
bool IsSparse(const DensePlan& dense) {
  return dense.sparse_bits <= dense.estimated_bits + 8 * DenseSideBytes(dense.side);
}

// Whether dense chunks may lose to others, by what they are expected to take and by a chunk in the middle.
Result<bool> MayLose(const DensePlan& dense, const RecordHead& head, PatchStrips& strips, CodecScratch& scratch) {
  const double dense_bits = static_cast<double>(dense.estimated_bits + 8 * DenseSideBytes(dense.side));
  if (static_cast<double>(dense.sparse_bits) < kWorthATry * dense_bits) return true;
  const uint64_t middle = head.chunk_count / 2, size = head.ChunkDecodedBytes(middle);
  const size_t element_bytes = ElementBytes(head.dtype);
  FLYWEIGHT_TRY(strips.Read(middle * (head.chunk_bytes / element_bytes), size / element_bytes));
  const size_t others =
      EstimatePatchDifferences(PatchWordOf(head.dtype), {strips.words(), size}, strips.predicted(), scratch.impl());
  return 8 * static_cast<double>(others) / static_cast<double>(size) * static_cast<double>(head.decoded_bytes) <
         kClearlyLess * dense_bits;
}

// Leaves the dense side information out of a head where the record is smaller then, and corrects the estimate. Where
// hardly a chunk of the sample changed, nothing is known of the others.
Status TryWithoutDense(const SourcedTensor& tensor, const SourcedTensor& base, PatchPlan& plan, CodecScratch& scratch) {
  FLYWEIGHT_ASSIGN(PatchTrial with, TryPatchRecord(plan.record, tensor, base, kSampledChunks, scratch));
  plan.estimated_bytes = with.record_bytes;
  const RecordHead& head = plan.record.head;
  const PatchSide& side = *head.side->patch;
  if (side.dense == nullptr || with.changed_count < std::min(kTellingChunks, head.chunk_count)) return {};
  PatchPlan without;
  without.record.level = plan.record.level;
  without.record.head = head;
  FinishHead({side.base_dtype, side.base_bytes, side.predictor}, without.record, scratch);
  if (with.dense_count == 0) {
    without.estimated_bytes = with.record_bytes - plan.record.head_bytes.size() + without.record.head_bytes.size();
  } else if (with.chunk_count == head.chunk_count) {
    FLYWEIGHT_ASSIGN(PatchTrial others, TryPatchRecord(without.record, tensor, base, kSampledChunks, scratch));
    without.estimated_bytes = others.record_bytes;
  } else {
    return {};
  }
  if (without.estimated_bytes < plan.estimated_bytes) plan = std::move(without);
  return {};
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
  bool is_tried = size_bytes <= kSmallBytes || !LayoutOf(dtype);
  std::optional<DensePlan> dense;
  if (std::optional<FloatLayout> layout = LayoutOf(dtype)) {
    PatchStrips strips(tensor, base_tensor, patch);
    const uint64_t word_bytes = Describe(*layout).word_bytes;
    FLYWEIGHT_ASSIGN(dense,
                     PlanDense(strips, *layout, size_bytes / word_bytes, shape, ElementBytes(dtype) / word_bytes));
    if (dense && !is_tried && !IsSparse(*dense)) {
      FLYWEIGHT_ASSIGN(is_tried, MayLose(*dense, plan.record.head, strips, scratch));
    }
  }
  uint64_t expected_bits = dense ? dense->estimated_bits : 0;
  if (dense && IsSparse(*dense)) {
    expected_bits = dense->sparse_bits;
    dense.reset();
  }
  const uint64_t row_bytes = dense ? dense->side.rows.size() / 2 : 0;
  if (dense) patch.dense = std::make_shared<const DenseSide>(std::move(dense->side));
  FinishHead(std::move(patch), plan.record, scratch);
  const uint64_t overhead_bytes = kChunkOverheadBytes + (expected_bits != 0 ? kStreamOverheadBytes : 0);
  plan.estimated_bytes = plan.record.head_bytes.size() + plan.record.head.chunk_count * overhead_bytes +
                         std::min(expected_bits / 8 + row_bytes, size_bytes);
  if (is_tried) FLYWEIGHT_TRY(TryWithoutDense(tensor, base_tensor, plan, scratch));
  return plan;
}

Result<uint64_t> EstimatePatchRecord(const RecordPlan& record, const ByteSource& source, uint64_t offset,
                                     const ByteSource& base, uint64_t base_offset, CodecScratch& scratch) {
  const PatchSide& side = *record.head.side->patch;
  FLYWEIGHT_ASSIGN(PatchTrial trial,
                   TryPatchRecord(record, {source, offset, record.head.decoded_bytes, record.head.dtype},
                                  {base, base_offset, side.base_bytes, side.base_dtype}, kSampledChunks, scratch));
  return trial.record_bytes;
}

}  // namespace flyweight
