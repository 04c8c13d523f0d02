#include "sync/tensor_plan.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "codec/patch_record.h"

namespace flyweight {
namespace {

constexpr uint64_t kComparedChunkMaxCount = 3;
constexpr uint64_t kGlanceElements = 16384;

/// A patch under this part of the tensor is compared with its beginning alone: few tensors are so small without a base.
constexpr uint64_t kSmallPatchDivisor = 3;

ByteSpan ChunkOf(const RecordHead& head, ByteSpan bytes, uint64_t chunk) {
  return bytes.subspan(static_cast<size_t>(chunk * head.chunk_bytes),
                       static_cast<size_t>(head.ChunkDecodedBytes(chunk)));
}

ByteSpan BaseChunkOf(const RecordHead& head, ByteSpan base, uint64_t chunk) {
  BaseRange range = BaseRangeOf(head, chunk);
  return base.subspan(static_cast<size_t>(range.begin_bytes), static_cast<size_t>(range.size_bytes));
}

/// The size of a record by its head and up to three of its chunks, of which `encode` gives the frame's bytes.
template <typename Encode>
uint64_t SampledBytes(const RecordPlan& plan, const Encode& encode) {
  uint64_t count = plan.head.chunk_count;
  uint64_t sampled = std::min(count, kComparedChunkMaxCount);
  uint64_t frame_bytes = 0;
  for (uint64_t i = 0; i < sampled; ++i) {
    uint64_t chunk = sampled == 1 ? 0 : i * (count - 1) / (sampled - 1);
    frame_bytes += encode(chunk) + kChunkEntryBytes;
  }
  return plan.head_bytes.size() + (sampled == 0 ? 0 : frame_bytes * count / sampled);
}

uint64_t FullBytes(const RecordPlan& plan, ByteSpan bytes, CodecScratch& scratch) {
  AlignedBuffer frame(static_cast<size_t>(FrameBound(plan.head.chunk_bytes)) + kDecodePaddingBytes);
  return SampledBytes(plan, [&](uint64_t chunk) -> uint64_t {
    return EncodeFrame(plan, chunk, ChunkOf(plan.head, bytes, chunk), {frame.data(), frame.size()}, scratch)
        .frame_bytes;
  });
}

uint64_t PatchBytes(const RecordPlan& plan, ByteSpan bytes, ByteSpan base, CodecScratch& scratch) {
  AlignedBuffer frame(static_cast<size_t>(FrameBound(plan.head.chunk_bytes)) + kDecodePaddingBytes);
  return SampledBytes(plan, [&](uint64_t chunk) -> uint64_t {
    return EncodePatchFrame(plan, chunk, ChunkOf(plan.head, bytes, chunk), BaseChunkOf(plan.head, base, chunk),
                            {frame.data(), frame.size()}, scratch)
        .frame_bytes;
  });
}

/// Whether the tensor's beginning, alone, is nearly as small as the patch is said to be.
Result<bool> IsSmallByItself(const TensorView& tensor, uint64_t patch_bytes, Level level, CodecScratch& scratch) {
  uint64_t chunk_bytes = ChunkBytesFor(tensor.dtype);
  uint64_t glance_bytes = std::min<uint64_t>(tensor.bytes.size(), chunk_bytes * kGlanceElements / (256 * 1024));
  if (glance_bytes == tensor.bytes.size()) return true;
  ByteSpan glance = tensor.bytes.first(static_cast<size_t>(glance_bytes));
  MemorySource source(glance);
  FLYWEIGHT_ASSIGN(RecordPlan plan, PlanRecord(source, 0, glance_bytes, tensor.dtype, {}, level, scratch));
  uint64_t full_bytes = FullBytes(plan, glance, scratch);
  // Compared as shares of what they decode to, with a half more for how little was looked at.
  return static_cast<double>(full_bytes) * static_cast<double>(tensor.bytes.size()) <
         1.5 * static_cast<double>(patch_bytes) * static_cast<double>(glance_bytes);
}

}  // namespace

Result<TensorPlan> PlanTensor(const TensorView& tensor, const TensorView* base, Level level, CodecScratch& scratch) {
  MemorySource source(tensor.bytes);
  TensorPlan plan;
  PatchPlan patch;
  patch.estimated_bytes = kNoPatchBytes;
  if (base != nullptr && !base->bytes.empty()) {
    MemorySource base_source(base->bytes);
    FLYWEIGHT_ASSIGN(patch, PlanPatchRecord(source, 0, tensor.bytes.size(), tensor.dtype, tensor.shape, base_source, 0,
                                            base->bytes.size(), base->dtype, level, scratch));
  }
  if (patch.estimated_bytes != kNoPatchBytes) {
    bool compare = patch.estimated_bytes >= tensor.bytes.size() / kSmallPatchDivisor;
    if (!compare) {
      FLYWEIGHT_ASSIGN(compare, IsSmallByItself(tensor, patch.estimated_bytes, level, scratch));
    }
    plan.record = std::move(patch.record);
    plan.is_patch = true;
    if (!compare) return plan;
  }
  FLYWEIGHT_ASSIGN(RecordPlan full,
                   PlanRecord(source, 0, tensor.bytes.size(), tensor.dtype, tensor.shape, level, scratch));
  if (plan.is_patch &&
      PatchBytes(plan.record, tensor.bytes, base->bytes, scratch) <= FullBytes(full, tensor.bytes, scratch)) {
    return plan;
  }
  return TensorPlan{.record = std::move(full), .is_patch = false};
}

}  // namespace flyweight
