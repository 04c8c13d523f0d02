#include "codec/lossy_side.h"

#include <utility>

#include "codec/lossy_record.h"
#include "codec/scratch.h"
#include "lossy/lossy_report.h"
#include "lossy/quantise.h"

namespace flyweight {
namespace {

constexpr uint8_t kHasFloatFields = 2;

DType HalfOf(LossyMethod method) { return method == LossyMethod::kF16 ? DType::kF16 : DType::kBF16; }

/// A tensor's elements rounded to halves, as they are read.
class HalvesSource final : public ByteSource {
 public:
  HalvesSource(const ByteSource& source, uint64_t offset, uint64_t element_count, DType dtype, LossyMethod method)
      : source_(source), offset_(offset), element_count_(element_count), dtype_(dtype), method_(method) {}

  uint64_t size() const override { return element_count_ * 2; }

  /// Precondition: whole halves.
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    const uint64_t element_bytes = ElementBytes(dtype_);
    size_t element_count = target.size() / 2;
    AlignedBuffer elements(element_count * element_bytes);
    MutableByteSpan chunk(elements.data(), element_count * element_bytes);
    FLYWEIGHT_TRY(source_.ReadAt(offset_ + offset / 2 * element_bytes, chunk));
    NarrowChunk(method_, dtype_, chunk, target.data());
    return {};
  }

 private:
  const ByteSource& source_;
  uint64_t offset_;
  uint64_t element_count_;
  DType dtype_;
  LossyMethod method_;
};

}  // namespace

void WriteLossySide(const LossySide& side, ZstdCoder& zstd, ByteWriter& writer) {
  bool has_float_fields = side.halves.side != nullptr && side.halves.side->floats.has_value();
  WriteLossyChoice(side.choice, has_float_fields ? kHasFloatFields : 0, writer);
  if (has_float_fields) WriteFloatSide(*side.halves.side->floats, zstd, writer);
}

Result<LossySide> ReadLossySide(ReadCursor& cursor, const RecordHead& head, ZstdCoder& zstd) {
  uint64_t at = cursor.offset();
  LossySide side;
  uint8_t flags = kHasFloatFields;
  FLYWEIGHT_ASSIGN(side.choice, ReadLossyChoice(cursor, flags));
  if (side.choice.method == LossyMethod::kDelta || !CanBeLossy(head.dtype, side.choice.method))
    return Error{ErrorCode::kCorrupt, at, "record head: the lossy method does not fit the dtype"};
  uint64_t chunk_elements = head.chunk_bytes / ElementBytes(head.dtype);
  if (side.choice.method == LossyMethod::kBlocks) {
    if (flags != 0) return Error{ErrorCode::kCorrupt, at, "record head: float fields of quantised blocks"};
    if (chunk_elements % side.choice.block == 0) return side;
    return Error{ErrorCode::kCorrupt, at, "record head: the chunks are not whole blocks"};
  }
  auto inner = std::make_shared<RecordHead::Side>();
  FillRecordGeometry(HalfOf(side.choice.method), head.decoded_bytes / ElementBytes(head.dtype) * 2, chunk_elements,
                     side.halves);
  if (flags != 0) {
    inner->transform = TransformId::kFloatFields;
    FLYWEIGHT_ASSIGN(inner->floats, ReadFloatSide(cursor, zstd));
    if (inner->floats->layout != LayoutOf(side.halves.dtype))
      return Error{ErrorCode::kCorrupt, at, "record head: the float layout does not fit the lossy method"};
  }
  side.halves.side = std::move(inner);
  return side;
}

Result<RecordPlan> PlanLossyRecord(const ByteSource& source, uint64_t offset, uint64_t size_bytes, DType dtype,
                                   const Shape& shape, const LossyChoice& choice, CodecScratch& scratch) {
  if (choice.method == LossyMethod::kDelta || !CanBeLossy(dtype, choice.method) ||
      size_bytes % ElementBytes(dtype) != 0)
    return Error{ErrorCode::kInvalidArgument, offset, "this tensor cannot be stored as " + NameOf(choice)};
  RecordPlan plan;
  FillRecordGeometry(dtype, size_bytes, ChunkBytesFor(dtype) / ElementBytes(dtype), plan.head);
  auto side = std::make_shared<RecordHead::Side>();
  side->transform = TransformId::kLossy;
  side->lossy.emplace();
  side->lossy->choice = choice;
  if (choice.method != LossyMethod::kBlocks) {
    HalvesSource halves(source, offset, size_bytes / ElementBytes(dtype), dtype, choice.method);
    FLYWEIGHT_ASSIGN(RecordPlan inner, PlanHalves(halves, HalfOf(choice.method), shape, scratch));
    side->lossy->halves = std::move(inner.head);
  }
  plan.head.side = std::move(side);
  plan.head_bytes = WriteRecordHead(plan.head, scratch.impl().planes);
  return plan;
}

std::optional<LossyChoice> LossyChoiceOf(const RecordHead& head) {
  if (head.side == nullptr) return std::nullopt;
  if (head.side->lossy_patch)
    return LossyChoice{LossyMethod::kDelta, static_cast<uint8_t>(head.side->lossy_patch->method), false, 0};
  if (!head.side->lossy) return std::nullopt;
  return head.side->lossy->choice;
}

}  // namespace flyweight
