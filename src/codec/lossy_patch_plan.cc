#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "codec/class_side.h"
#include "codec/float_side.h"
#include "codec/lossy_patch_codec.h"
#include "codec/lossy_patch_record.h"
#include "codec/lossy_patch_side.h"
#include "codec/predictor_fit.h"
#include "codec/record_side.h"
#include "codec/scratch.h"
#include "lossy/delta_steps.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampledChunks = 4;
// Columns are alike all over a tensor.
constexpr uint64_t kColumnChunks = 16;
// Under this, classes cost more than they save.
constexpr uint64_t kMinClassedElements = 4096;
constexpr uint64_t kMinClassedRows = 16;
constexpr uint64_t kMinClassedColumns = 16;
// Rows that are this much quieter than the step say nothing about columns.
constexpr double kQuietRow = 1.0 / 64;
// Half of the levels on one side of zero, less the middle one.
constexpr float kInt4Reach = 7.5F;
constexpr int32_t kInt4Most = 7;

// The chunks of a tensor, each with what the base lets expect of it.
class Pairs {
 public:
  Pairs(const RecordHead& head, const ByteSource& source, uint64_t offset, const ByteSource& base, uint64_t base_offset)
      : head_(head), source_(source), offset_(offset), base_(base), base_offset_(base_offset) {}

  Status Read(uint64_t chunk_index) {
    chunk_bytes_ = static_cast<size_t>(head_.ChunkDecodedBytes(chunk_index));
    BaseRange range = BaseRangeOf(head_, chunk_index);
    base_bytes_ = static_cast<size_t>(range.size_bytes);
    chunk_.Resize(chunk_bytes_);
    base_chunk_.Resize(base_bytes_);
    predicted_.Resize(chunk_bytes_);
    FLYWEIGHT_TRY(source_.ReadAt(offset_ + chunk_index * head_.chunk_bytes, {chunk_.data(), chunk_bytes_}));
    if (base_bytes_ != 0)
      FLYWEIGHT_TRY(base_.ReadAt(base_offset_ + range.begin_bytes, {base_chunk_.data(), base_bytes_}));
    PredictPatchChunk(head_, chunk_index, base_chunk(), {predicted_.data(), chunk_bytes_});
    return {};
  }

  /// The differences of the chunk that was read last; 0 where they are not finite.
  std::span<const float> Differences() {
    const size_t count = chunk_bytes_ / ElementBytes(head_.dtype);
    values_.resize(count);
    expected_.resize(count);
    LoadDeltaValues(head_.dtype, chunk_.data(), count, values_.data());
    LoadDeltaValues(head_.dtype, predicted_.data(), count, expected_.data());
    for (size_t i = 0; i < count; ++i) {
      float difference = values_[i] - expected_[i];
      values_[i] = std::isfinite(difference) ? difference : 0.0F;
    }
    return values_;
  }

  ByteSpan chunk() const { return {chunk_.data(), chunk_bytes_}; }
  ByteSpan predicted() const { return {predicted_.data(), chunk_bytes_}; }
  ByteSpan base_chunk() const { return {base_chunk_.data(), base_bytes_}; }

 private:
  const RecordHead& head_;
  const ByteSource& source_;
  uint64_t offset_;
  const ByteSource& base_;
  uint64_t base_offset_;
  AlignedBuffer chunk_, base_chunk_, predicted_;
  std::vector<float> values_, expected_;
  size_t chunk_bytes_ = 0, base_bytes_ = 0;
};

uint32_t MagnitudeBits(float value) { return std::bit_cast<uint32_t>(value) & 0x7FFFFFFFU; }

// The smallest magnitude of the `wanted` largest differences, by a radix search of two passes; nothing above 0 where
// not so many differ from it.
Result<float> FindThreshold(const RecordHead& head, Pairs& pairs, uint64_t wanted) {
  constexpr unsigned kLowBits = 15;
  std::vector<uint64_t> high(size_t{1} << 16), low(size_t{1} << kLowBits);
  if (wanted == 0) return 0.0F;
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    FLYWEIGHT_TRY(pairs.Read(i));
    for (float difference : pairs.Differences()) ++high[MagnitudeBits(difference) >> kLowBits];
  }
  auto descend = [&](const std::vector<uint64_t>& counts) {
    size_t bin = counts.size() - 1;
    for (; bin > 0 && counts[bin] < wanted; --bin) wanted -= counts[bin];
    return static_cast<uint32_t>(bin);
  };
  const uint32_t top = descend(high);
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    FLYWEIGHT_TRY(pairs.Read(i));
    for (float difference : pairs.Differences()) {
      uint32_t bits = MagnitudeBits(difference);
      if (bits >> kLowBits == top) ++low[bits & ((1U << kLowBits) - 1)];
    }
  }
  uint32_t bits = top << kLowBits | descend(low);
  return std::bit_cast<float>(std::max(bits, 1U));
}

Result<float> LargestDifference(const RecordHead& head, Pairs& pairs) {
  float largest = 0;
  for (uint64_t i = 0; i < head.chunk_count; ++i) {
    FLYWEIGHT_TRY(pairs.Read(i));
    for (float difference : pairs.Differences()) largest = std::max(largest, std::fabs(difference));
  }
  return largest;
}

Status ChooseSteps(const LossyDeltaChoice& choice, const RecordHead& head, Pairs& pairs, LossyPatchSide& side) {
  const uint64_t element_count = head.decoded_bytes / ElementBytes(head.dtype);
  const auto wanted = static_cast<uint64_t>(std::ceil(choice.exact_fraction * static_cast<double>(element_count)));
  side.method = choice.method;
  switch (choice.method) {
    case DeltaMethod::kUniform:
      side.step = choice.step;
      side.weighs_bits = true;
      return {};
    case DeltaMethod::kOneBit:
      side.row_steps = side.signs_only = true;
      return {};
    case DeltaMethod::kSparse: {
      FLYWEIGHT_ASSIGN(side.exact_from, FindThreshold(head, pairs, wanted));
      if (wanted == 0) side.exact_from = 0x1p127F;
      return {};
    }
    case DeltaMethod::kInt4: {
      FLYWEIGHT_ASSIGN(side.exact_from, FindThreshold(head, pairs, wanted));
      float reach = side.exact_from;
      if (wanted == 0) {
        FLYWEIGHT_ASSIGN(reach, LargestDifference(head, pairs));
      }
      // Under this, products with numbers would be subnormal.
      side.step = std::max(reach / kInt4Reach, 0x1p-126F);
      side.most_steps = kInt4Most;
      return {};
    }
  }
  return {};
}

// How much louder than its rows each column is, in quarter octaves.
Status ClassColumns(const RecordHead& head, Pairs& pairs, LossyPatchSide& side) {
  std::vector<double> sums(side.column_count, 0.0);
  std::vector<uint64_t> counts(side.column_count, 0);
  const double quiet = static_cast<double>(side.step) * kQuietRow;
  const uint64_t sampled = std::min(kColumnChunks, head.chunk_count);
  for (uint64_t s = 0; s < sampled; ++s) {
    const uint64_t i = s * head.chunk_count / sampled;
    FLYWEIGHT_TRY(pairs.Read(i));
    std::span<const float> differences = pairs.Differences();
    const uint64_t first = FirstWord(head, ElementBytes(head.dtype), i);
    ForEachRow(side.column_count, first, differences.size(), [&](size_t, size_t begin, size_t count, size_t column) {
      const double mean = SumOfSquares(differences.data() + begin, count) / static_cast<double>(count);
      if (count < kMinClassedColumns || !(mean > quiet * quiet)) return;
      const double scale = 1 / mean;
      for (size_t j = 0; j < count; ++j) {
        const auto difference = static_cast<double>(differences[begin + j]);
        sums[column + j] += difference * difference * scale;
        ++counts[column + j];
      }
    });
  }
  side.columns.assign(side.column_count, 0);
  for (size_t c = 0; c < sums.size(); ++c) {
    if (counts[c] != 0) side.columns[c] = DeltaClassOf(sums[c] / static_cast<double>(counts[c]));
  }
  return {};
}

Status ChooseContexts(const Shape& shape, const RecordHead& head, Pairs& pairs, LossyPatchSide& side) {
  const uint64_t element_count = head.decoded_bytes / ElementBytes(head.dtype);
  if (shape.size() < 2 || shape.front() == 0 || element_count % shape.front() != 0) return {};
  const uint64_t columns = element_count / shape.front();
  if (columns == 0 || columns > kMaxColumns) return {};
  if (side.row_steps) side.column_count = columns;
  if (side.signs_only || side.step == 0 || element_count < kMinClassedElements || columns < kMinClassedColumns)
    return {};
  side.column_count = columns;
  side.by_rows = true;
  if (element_count / columns < kMinClassedRows) return {};
  side.by_columns = true;
  return ClassColumns(head, pairs, side);
}

Result<uint64_t> EstimateBytes(const RecordPlan& plan, Pairs& pairs, CodecScratch& scratch) {
  const RecordHead& head = plan.head;
  AlignedBuffer frame, restored;
  const uint64_t sampled = std::min(kSampledChunks, head.chunk_count);
  double frame_bytes = 0, chunk_bytes = 0;
  for (uint64_t s = 0; s < sampled; ++s) {
    const uint64_t i = s * head.chunk_count / sampled;
    FLYWEIGHT_TRY(pairs.Read(i));
    const size_t size = pairs.chunk().size();
    frame.Resize(FrameBound(size));
    restored.Resize(size);
    frame_bytes += EncodeLossyPatchFrame(plan, i, pairs.chunk(), pairs.base_chunk(), {frame.data(), FrameBound(size)},
                                         {restored.data(), size}, scratch)
                       .entry.frame_bytes;
    chunk_bytes += static_cast<double>(size);
  }
  double frames = chunk_bytes == 0 ? 0.0 : frame_bytes / chunk_bytes * static_cast<double>(head.decoded_bytes);
  return plan.head_bytes.size() + head.chunk_count * kChunkEntryBytes + static_cast<uint64_t>(frames);
}

bool Fits(uint64_t size_bytes, DType dtype, uint64_t base_bytes, DType base_dtype) {
  return CanBeLossyDelta(dtype) && CanBeLossyDelta(base_dtype) && size_bytes % ElementBytes(dtype) == 0 &&
         base_bytes % ElementBytes(base_dtype) == 0;
}

// Fills in what every lossy patch has.
std::shared_ptr<RecordHead::Side> Begin(uint64_t size_bytes, DType dtype, uint64_t base_bytes, DType base_dtype,
                                        RecordHead& head) {
  auto side = std::make_shared<RecordHead::Side>();
  side->transform = TransformId::kLossyPatch;
  side->first_codecs_only = true;
  // Steps start from the base itself: an optimizer's decay is far under what a step loses.
  Predictor cast = base_dtype == dtype ? Predictor() : MakeCastPredictor(base_dtype, dtype, false);
  side->patch = PatchSide{base_dtype, base_bytes, std::move(cast)};
  side->lossy_patch.emplace();
  FillRecordGeometry(dtype, size_bytes, ChunkBytesFor(dtype) / ElementBytes(dtype), head);
  head.side = side;
  return side;
}

}  // namespace

Result<PatchPlan> PlanLossyPatchRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                       const Shape& shape, const ByteSource& base, uint64_t base_offset,
                                       uint64_t base_bytes, DType base_dtype, const LossyDeltaChoice& choice,
                                       CodecScratch& scratch) {
  PatchPlan plan;
  plan.estimated_bytes = kNoPatchBytes;
  if (!Fits(size_bytes, dtype, base_bytes, base_dtype)) return plan;
  RecordHead& head = plan.record.head;
  std::shared_ptr<RecordHead::Side> side = Begin(size_bytes, dtype, base_bytes, base_dtype, head);
  Pairs pairs(head, source, offset, base, base_offset);
  FLYWEIGHT_TRY(ChooseSteps(choice, head, pairs, *side->lossy_patch));
  FLYWEIGHT_TRY(ChooseContexts(shape, head, pairs, *side->lossy_patch));
  plan.record.head_bytes = WriteRecordHead(head, scratch.impl().planes);
  FLYWEIGHT_ASSIGN(plan.estimated_bytes, EstimateBytes(plan.record, pairs, scratch));
  return plan;
}

Result<std::optional<LossyPatchLoss>> MeasureLossyPatch(const ByteSource& source, uint64_t offset, uint64_t size_bytes,
                                                        DType dtype, const Shape& shape, const ByteSource& base,
                                                        uint64_t base_offset, uint64_t base_bytes, DType base_dtype,
                                                        const LossyDeltaChoice& choice, uint64_t most_chunks,
                                                        CodecScratch& scratch) {
  if (!Fits(size_bytes, dtype, base_bytes, base_dtype)) return std::optional<LossyPatchLoss>();
  RecordHead head;
  std::shared_ptr<RecordHead::Side> side = Begin(size_bytes, dtype, base_bytes, base_dtype, head);
  Pairs pairs(head, source, offset, base, base_offset);
  FLYWEIGHT_TRY(ChooseSteps(choice, head, pairs, *side->lossy_patch));
  FLYWEIGHT_TRY(ChooseContexts(shape, head, pairs, *side->lossy_patch));
  const uint64_t sampled = std::min(most_chunks, head.chunk_count);
  LossyPatchLoss loss;
  AlignedBuffer restored;
  double measured_bytes = 0;
  for (uint64_t s = 0; s < sampled; ++s) {
    const uint64_t i = s * head.chunk_count / sampled;
    FLYWEIGHT_TRY(pairs.Read(i));
    restored.Resize(pairs.chunk().size());
    MutableByteSpan target(restored.data(), pairs.chunk().size());
    RestoreLossyPatchChunk(head, i, pairs.chunk(), pairs.predicted(), target, scratch.impl());
    loss.squared_error += SquaredDistance(dtype, pairs.chunk(), target);
    loss.squared_change += SquaredDistance(dtype, pairs.chunk(), pairs.predicted());
    measured_bytes += static_cast<double>(pairs.chunk().size());
  }
  if (sampled == 0 || sampled == head.chunk_count) return std::optional(loss);
  const double scale = static_cast<double>(head.decoded_bytes) / measured_bytes;
  return std::optional(LossyPatchLoss{loss.squared_error * scale, loss.squared_change * scale});
}

bool IsLossyPatch(const RecordHead& head) { return head.side != nullptr && head.side->lossy_patch.has_value(); }

double SquaredDistance(DType dtype, ByteSpan chunk, ByteSpan other) {
  const size_t count = chunk.size() / ElementBytes(dtype);
  std::vector<float> a(count), b(count);
  LoadDeltaValues(dtype, chunk.data(), count, a.data());
  LoadDeltaValues(dtype, other.data(), count, b.data());
  double lanes[8] = {};
  for (size_t i = 0; i < count; ++i) {
    double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    lanes[i % 8] += std::isfinite(difference) ? difference * difference : 0.0;
  }
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

}  // namespace flyweight
