#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "archive/wire.h"
#include "archive/writer.h"
#include "codec/patch_record.h"
#include "flyweight/patch_buffer.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/ordered_run.h"
#include "pipeline/slot_buffers.h"
#include "sync/tensor_plan.h"

namespace flyweight {
namespace {

Status CheckTensor(const TensorView& tensor) {
  bool is_known = tensor.dtype != DType::kOpaque && Describe(tensor.dtype).dtype == tensor.dtype;
  if (!is_known || TensorBytes(tensor.dtype, tensor.shape) == tensor.bytes.size()) return {};
  return Error{ErrorCode::kInvalidArgument, 0,
               "tensor '" + tensor.name + "': its shape and dtype do not give its " +
                   std::to_string(tensor.bytes.size()) + " bytes"};
}

/// The tensors by name. Errors: kInvalidArgument.
using ByName = std::unordered_map<std::string_view, const TensorView*>;
Result<ByName> NamesOf(std::span<const TensorView> tensors) {
  ByName names;
  for (const TensorView& tensor : tensors) {
    FLYWEIGHT_TRY(CheckTensor(tensor));
    if (names.emplace(tensor.name, &tensor).second) continue;
    return Error{ErrorCode::kInvalidArgument, 0, "tensor '" + tensor.name + "' is there twice"};
  }
  return names;
}

/// The callbacks of an OrderedRun over the tensors.
class PatchMaker {
 public:
  PatchMaker(std::span<const TensorView> tensors, const ByName& base, const MakePatchOptions& options, ByteSink& sink,
             ThreadPool& pool)
      : tensors_(tensors), base_(base), options_(options), writer_(sink), pool_(pool) {}

  Status Run() {
    DescribeTensors();
    Allocate();
    run_.item_count = tensors_.size();
    run_.prepare = [this](uint64_t item, size_t worker) { return Prepare(item, worker); };
    run_.work = [this](const ChunkStep& step, size_t worker) { return Encode(step, worker); };
    run_.consumers.push_back([this](const ChunkStep& step) { return Append(step); });
    ArchiveHeader header;
    header.required_features = wire::kFeatureCodecs;
    if (has_base()) header.required_features |= wire::kFeaturePatches;
    FLYWEIGHT_TRY(writer_.Begin(header));
    FLYWEIGHT_TRY(RunInOrder(pool_, run_));
    return writer_.Finish(index_);
  }

 private:
  void DescribeTensors() {
    IndexFile file;
    file.name = options_.name;
    for (const TensorView& tensor : tensors_) {
      IndexExtent extent;
      extent.decoded_bytes = tensor.bytes.size();
      extent.is_tensor = true;
      extent.name = tensor.name;
      extent.dtype = tensor.dtype;
      extent.shape = tensor.shape;
      extent.place = tensor.bytes.size() <= kInlineMaxBytes ? PlaceKind::kInline : PlaceKind::kRecord;
      file.file_bytes += extent.decoded_bytes;
      file.extents.push_back(std::move(extent));
    }
    index_.files.push_back(std::move(file));
    if (has_base()) index_.base.emplace().name = options_.base_name;
  }

  void Allocate() {
    uint64_t chunk_bytes = 1;
    for (const TensorView& tensor : tensors_) {
      chunk_bytes = std::max(chunk_bytes, std::min<uint64_t>(tensor.bytes.size(), ChunkBytesFor(tensor.dtype)));
    }
    uint64_t frame_bytes = FrameBound(chunk_bytes) + kDecodePaddingBytes;
    SizeOrderedRun(run_, pool_.thread_count(), frame_bytes);
    plans_.resize(run_.item_window);
    entries_.resize(run_.slot_count);
    frames_ = SlotBuffers(run_.slot_count, frame_bytes);
    scratch_.resize(pool_.thread_count());
  }

  bool has_base() const { return !base_.empty() || !options_.base_name.empty(); }
  IndexExtent& ExtentOf(uint64_t item) { return index_.files[0].extents[static_cast<size_t>(item)]; }
  const TensorView& TensorOf(uint64_t item) const { return tensors_[static_cast<size_t>(item)]; }
  TensorPlan& PlanOf(uint64_t item) { return plans_[item % plans_.size()]; }
  const TensorView* BaseOf(uint64_t item) const {
    auto found = base_.find(TensorOf(item).name);
    return found == base_.end() ? nullptr : found->second;
  }

  Result<uint64_t> Prepare(uint64_t item, size_t worker) {
    if (ExtentOf(item).place == PlaceKind::kInline) return uint64_t{1};
    FLYWEIGHT_ASSIGN(PlanOf(item), PlanTensor(TensorOf(item), BaseOf(item), options_.level, scratch_[worker]));
    return PlanOf(item).record.head.chunk_count;
  }

  Status Encode(const ChunkStep& step, size_t worker) {
    const TensorView& tensor = TensorOf(step.item);
    IndexExtent& extent = ExtentOf(step.item);
    if (extent.place == PlaceKind::kInline) {
      extent.inline_bytes.assign(tensor.bytes.begin(), tensor.bytes.end());
      return {};
    }
    const TensorPlan& plan = PlanOf(step.item);
    const RecordHead& head = plan.record.head;
    ByteSpan chunk = tensor.bytes.subspan(static_cast<size_t>(step.chunk * head.chunk_bytes),
                                          static_cast<size_t>(head.ChunkDecodedBytes(step.chunk)));
    ChunkEntry& entry = entries_[step.slot];
    if (!plan.is_patch) {
      entry = EncodeFrame(plan.record, step.chunk, chunk, frames_[step.slot], scratch_[worker]);
      return {};
    }
    BaseRange range = BaseRangeOf(head, step.chunk);
    ByteSpan base_chunk =
        BaseOf(step.item)->bytes.subspan(static_cast<size_t>(range.begin_bytes), static_cast<size_t>(range.size_bytes));
    entry = EncodePatchFrame(plan.record, step.chunk, chunk, base_chunk, frames_[step.slot], scratch_[worker]);
    return {};
  }

  Status Append(const ChunkStep& step) {
    IndexExtent& extent = ExtentOf(step.item);
    if (extent.place == PlaceKind::kInline) return {};
    TensorPlan& plan = PlanOf(step.item);
    if (step.chunk == 0) FLYWEIGHT_TRY(writer_.BeginRecord(plan.record));
    const ChunkEntry& entry = entries_[step.slot];
    FLYWEIGHT_TRY(writer_.AppendFrame(frames_[step.slot].first(entry.frame_bytes), entry));
    if (!step.is_last) return {};
    FLYWEIGHT_ASSIGN(ArchiveWriter::RecordPlace place, writer_.EndRecord());
    extent.record_offset = place.offset;
    extent.record_bytes = place.record_bytes;
    extent.record_check = place.record_check;
    if (plan.is_patch) ReferToBase(extent, *BaseOf(step.item));
    plan = {};
    return {};
  }

  void ReferToBase(IndexExtent& extent, const TensorView& base) {
    extent.place = PlaceKind::kPatched;
    extent.base_is_outside = true;
    extent.base_number = index_.base->rows.size();
    extent.patch_depth = 1;
    BaseRow row;
    row.is_tensor = true;
    row.name = base.name;
    row.dtype = base.dtype;
    row.shape = base.shape;
    row.size_bytes = base.bytes.size();
    index_.base->rows.push_back(std::move(row));
  }

  std::span<const TensorView> tensors_;
  const ByName& base_;
  const MakePatchOptions& options_;
  ArchiveWriter writer_;
  ThreadPool& pool_;
  ArchiveIndex index_;
  OrderedRun run_;
  std::vector<TensorPlan> plans_;
  std::vector<ChunkEntry> entries_;
  SlotBuffers frames_{0, 0};
  std::vector<CodecScratch> scratch_;
};

}  // namespace

Status MakePatch(std::span<const TensorView> tensors, std::span<const TensorView> base, const MakePatchOptions& options,
                 const AppendCallback& append) {
  return Guarded([&]() -> Status {
    FLYWEIGHT_TRY(NamesOf(tensors));
    FLYWEIGHT_ASSIGN(ByName by_name, NamesOf(base));
    uint64_t size_bytes = 0;
    for (const TensorView& tensor : tensors) size_bytes += tensor.bytes.size();
    CallbackSink callback(append);
    GatheringSink sink(callback);
    ThreadPool pool(UsefulThreadCount(options.thread_count, size_bytes));
    FLYWEIGHT_TRY(PatchMaker(tensors, by_name, options, sink, pool).Run());
    return sink.Flush();
  });
}

}  // namespace flyweight
