#include "pipeline/patch_bases.h"

#include <algorithm>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/file.h"
#include "pipeline/extent_items.h"

namespace flyweight {
namespace {

/// What a row of the base table takes, in both copies of the index.
constexpr uint64_t kRowBytes = 160;
/// How much of a large extent is looked at to see whether a patch is far better than a record, or a bit.
constexpr uint64_t kGlanceBytes = uint64_t{16} << 10;
constexpr uint64_t kGlances = 8;
constexpr uint64_t kStretchAlignment = 256;
constexpr uint64_t kSampledChunks = 4;
constexpr double kClearlyBetter = 0.7;
/// A patch that was judged from counts alone takes between these times that, nearly always.
constexpr double kPatchLeast = 0.5;
constexpr double kPatchMost = 1.15;
/// What the error of a lossy tensor takes in the index, both copies.
constexpr uint64_t kLossyRowBytes = 48;

struct Buffers {
  AlignedBuffer chunk;
  AlignedBuffer frame;
};

/// Estimates the bytes of a record from some of its chunks.
Result<double> EstimateRecord(const RecordPlan& plan, const ByteSource& source, uint64_t offset, Buffers& buffers,
                              CodecScratch& scratch) {
  const RecordHead& head = plan.head;
  uint64_t count = std::min(kSampledChunks, head.chunk_count);
  uint64_t frame_bytes = 0;
  uint64_t decoded_bytes = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t chunk = i * head.chunk_count / count;
    auto size = static_cast<size_t>(head.ChunkDecodedBytes(chunk));
    buffers.chunk.Resize(size);
    buffers.frame.Resize(static_cast<size_t>(FrameBound(size)));
    MutableByteSpan content(buffers.chunk.data(), size);
    FLYWEIGHT_TRY(source.ReadAt(offset + chunk * head.chunk_bytes, content));
    MutableByteSpan frame(buffers.frame.data(), static_cast<size_t>(FrameBound(size)));
    frame_bytes += EncodeFrame(plan, chunk, content, frame, scratch).frame_bytes + kChunkEntryBytes;
    decoded_bytes += size;
  }
  double share = static_cast<double>(frame_bytes) / static_cast<double>(std::max<uint64_t>(decoded_bytes, 1));
  return static_cast<double>(plan.head_bytes.size()) + share * static_cast<double>(head.decoded_bytes);
}

/// The same from stretches all over the content, put together, at a fraction of the cost; usually too large.
Result<double> GlanceAtRecord(const ByteSource& source, uint64_t offset, const IndexExtent& extent, Level level,
                              Buffers& buffers, CodecScratch& scratch) {
  const uint64_t size_bytes = std::min(kGlanceBytes, extent.decoded_bytes);
  const uint64_t stretches = size_bytes < kGlanceBytes ? 1 : kGlances;
  const uint64_t stretch_bytes = size_bytes / stretches;
  std::vector<std::byte> glance(static_cast<size_t>(size_bytes));
  for (uint64_t i = 0; i < stretches; ++i) {
    // Evenly from the first to the last, each at whole elements.
    const uint64_t room = (extent.decoded_bytes - stretch_bytes) / kStretchAlignment;
    const uint64_t begin = stretches == 1 ? 0 : room * i / (stretches - 1) * kStretchAlignment;
    MutableByteSpan target(glance.data() + i * stretch_bytes, static_cast<size_t>(stretch_bytes));
    FLYWEIGHT_TRY(source.ReadAt(offset + begin, target));
  }
  MemorySource content(glance);
  FLYWEIGHT_ASSIGN(RecordPlan plan, PlanRecord(content, 0, size_bytes, extent.dtype, {}, level, scratch));
  FLYWEIGHT_ASSIGN(double bytes, EstimateRecord(plan, content, 0, buffers, scratch));
  return bytes / static_cast<double>(size_bytes) * static_cast<double>(extent.decoded_bytes);
}

/// What the highest levels gain is not worth their time in an estimate.
RecordPlan AtMostHigh(RecordPlan plan) {
  plan.level = std::min(plan.level, Level::kHigh);
  return plan;
}

/// Whether a patch has to be tried to tell whether it is smaller than something else.
bool IsUndecided(double patch_bytes, double other_bytes) {
  return patch_bytes * kPatchLeast < other_bytes && other_bytes < patch_bytes * kPatchMost;
}

}  // namespace

Result<ChosenPlan> ChoosePlan(const ByteSource& source, uint64_t offset, const IndexExtent& extent,
                              const PatchBaseContent& base, Level level, CodecScratch& scratch) {
  FLYWEIGHT_ASSIGN(PatchPlan patch,
                   PlanPatchRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape, *base.source,
                                   base.offset, base.size_bytes, base.dtype, level, scratch));
  Buffers buffers;
  // A plan at the highest levels is dear, and what they gain is little beside a patch.
  Level glance_level = std::min(level, Level::kBalanced);
  const bool can_be_patch = patch.estimated_bytes != kNoPatchBytes;
  auto patch_bytes = static_cast<double>(patch.estimated_bytes) + static_cast<double>(kRowBytes);
  if (can_be_patch) {
    FLYWEIGHT_ASSIGN(double glance, GlanceAtRecord(source, offset, extent, glance_level, buffers, scratch));
    if (patch_bytes < kClearlyBetter * glance) return ChosenPlan{std::move(patch.record), true, patch_bytes};
  }
  FLYWEIGHT_ASSIGN(RecordPlan plan,
                   PlanRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape, level, scratch));
  FLYWEIGHT_ASSIGN(double whole_bytes, EstimateRecord(AtMostHigh(plan), source, offset, buffers, scratch));
  if (!can_be_patch) return ChosenPlan{std::move(plan), false, whole_bytes};
  if (IsUndecided(patch_bytes, whole_bytes)) {
    FLYWEIGHT_ASSIGN(uint64_t tried,
                     EstimatePatchRecord(patch.record, source, offset, *base.source, base.offset, scratch));
    patch_bytes = static_cast<double>(tried + kRowBytes);
  }
  bool is_patch = patch_bytes < whole_bytes;
  return ChosenPlan{is_patch ? std::move(patch.record) : std::move(plan), is_patch, std::min(patch_bytes, whole_bytes)};
}

Result<double> EstimateWithoutBase(const ByteSource& source, uint64_t offset, const IndexExtent& extent, Level level,
                                   CodecScratch& scratch) {
  level = std::min(level, Level::kHigh);
  FLYWEIGHT_ASSIGN(RecordPlan plan,
                   PlanRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape, level, scratch));
  Buffers buffers;
  return EstimateRecord(plan, source, offset, buffers, scratch);
}

Result<bool> IsSmallerLossy(const ByteSource& source, uint64_t offset, const IndexExtent& extent,
                            const PatchBaseContent& base, const LossyDeltaChoice& choice, Level level,
                            CodecScratch& scratch) {
  FLYWEIGHT_ASSIGN(PatchPlan lossy,
                   PlanLossyPatchRecord(source, offset, extent.decoded_bytes, extent.dtype, extent.shape, *base.source,
                                        base.offset, base.size_bytes, base.dtype, choice, scratch));
  if (lossy.estimated_bytes == kNoPatchBytes) return false;
  const auto lossy_bytes = static_cast<double>(lossy.estimated_bytes + kRowBytes + kLossyRowBytes);
  FLYWEIGHT_ASSIGN(ChosenPlan exact, ChoosePlan(source, offset, extent, base, level, scratch));
  double exact_bytes = exact.estimated_bytes;
  if (exact.is_patch && IsUndecided(exact_bytes, lossy_bytes)) {
    FLYWEIGHT_ASSIGN(uint64_t tried,
                     EstimatePatchRecord(exact.plan, source, offset, *base.source, base.offset, scratch));
    exact_bytes = static_cast<double>(tried + kRowBytes);
  }
  return lossy_bytes < exact_bytes;
}

void SetPatchDepths(ArchiveIndex& index) {
  std::vector<IndexExtent*> extents;
  for (IndexFile& file : index.files) {
    for (IndexExtent& extent : file.extents) extents.push_back(&extent);
  }
  for (IndexExtent* extent : extents) {
    if (extent->place == PlaceKind::kPatched) extent->patch_depth = 0;
  }
  std::vector<IndexExtent*> path;
  for (IndexExtent* extent : extents) {
    path.clear();
    IndexExtent* next = extent;
    while (next->place == PlaceKind::kPatched && next->patch_depth == 0) {
      path.push_back(next);
      if (next->base_is_outside) break;
      next = extents[static_cast<size_t>(next->base_number)];
    }
    for (size_t i = path.size(); i-- > 0;) {
      const IndexExtent* base = path[i]->base_is_outside ? nullptr : extents[static_cast<size_t>(path[i]->base_number)];
      path[i]->patch_depth = 1 + (base != nullptr && base->place == PlaceKind::kPatched ? base->patch_depth : 0);
    }
  }
}

}  // namespace flyweight
