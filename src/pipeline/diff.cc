#include "flyweight/diff.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "delta/compare.h"
#include "pipeline/diff_match.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/extent_items.h"
#include "pipeline/guard.h"
#include "pipeline/progress_meter.h"

namespace flyweight {
namespace {

constexpr uint64_t kJobUnits = uint64_t{1} << 20;  // elements of most types, so that jobs start where chunks do

size_t At(DiffKind kind) { return static_cast<size_t>(kind); }

/// A run of elements of a pair of tensors.
struct Job {
  size_t pair = 0;
  uint64_t begin_unit = 0;
  uint64_t unit_count = 0;
};

/// Memory of one thread.
struct Buffers {
  AlignedBuffer base;
  AlignedBuffer variant;
};

class Differ {
 public:
  Differ(ModelSide& base, ModelSide& variant, const DiffOptions& options, ThreadPool& pool)
      : base_(base), variant_(variant), options_(options), pool_(pool), buffers_(pool.thread_count()) {}

  Result<DiffReport> Run() {
    FLYWEIGHT_ASSIGN(pairs_, MatchTensors(base_, variant_, options_.tensors, pool_));
    for (const TensorPair& pair : pairs_) report_.tensors.push_back(DescribePair(pair));
    PlanJobs();
    FLYWEIGHT_TRY(CompareTensors());
    for (const TensorDiff& tensor : report_.tensors) {
      ++report_.tensor_counts[At(tensor.kind)];
      report_.tensor_bytes[At(tensor.kind)] += tensor.size_bytes;
    }
    if (options_.tensors.empty()) FLYWEIGHT_TRY(CompareFiles());
    FLYWEIGHT_TRY(base_.CheckUnchanged());
    FLYWEIGHT_TRY(variant_.CheckUnchanged());
    return std::move(report_);
  }

 private:
  const IndexExtent& ExtentOf(const ModelSide& side, ExtentId id) const {
    return side.index().files[id.file].extents[id.extent];
  }

  /// All that the indexes tell; whether values changed comes later.
  TensorDiff DescribePair(const TensorPair& pair) const {
    const ModelSide& side = pair.variant.has_value() ? variant_ : base_;
    ExtentId id = pair.variant.has_value() ? *pair.variant : *pair.base;
    const IndexExtent& extent = ExtentOf(side, id);
    const IndexExtent& base = pair.base.has_value() ? ExtentOf(base_, *pair.base) : extent;
    TensorDiff diff;
    diff.name = extent.name;
    if (side.index().is_tree) diff.file = side.index().files[id.file].name;
    diff.base_dtype = base.dtype;
    diff.base_shape = base.shape;
    diff.dtype = extent.dtype;
    diff.shape = extent.shape;
    diff.size_bytes = extent.decoded_bytes;
    if (pair.is_renamed) diff.base_name = base.name;
    diff.kind = !pair.base.has_value()       ? DiffKind::kAdded
                : !pair.variant.has_value()  ? DiffKind::kRemoved
                : base.dtype != extent.dtype ? DiffKind::kRetyped
                : base.shape != extent.shape ? DiffKind::kReshaped
                : pair.is_renamed            ? DiffKind::kRenamed
                                             : DiffKind::kSame;
    return diff;
  }

  /// How many units from the start of both are compared. Of tensors that differ in more than the number of rows none,
  /// unless they have equally many elements.
  static uint64_t ComparedUnits(const IndexExtent& base, const IndexExtent& variant) {
    if (!AreComparable(base.dtype, variant.dtype)) return 0;
    uint64_t base_units = base.decoded_bytes / ComparedUnitBytes(base.dtype);
    uint64_t variant_units = variant.decoded_bytes / ComparedUnitBytes(variant.dtype);
    if (base_units == variant_units) return base_units;
    bool has_rows = base.shape.size() == variant.shape.size() && !base.shape.empty();
    if (!has_rows || !std::equal(base.shape.begin() + 1, base.shape.end(), variant.shape.begin() + 1)) return 0;
    return std::min(base_units, variant_units);
  }

  void PlanJobs() {
    for (size_t number = 0; number < pairs_.size(); ++number) {
      const TensorPair& pair = pairs_[number];
      if (!pair.base.has_value() || !pair.variant.has_value()) continue;
      const IndexExtent& base = ExtentOf(base_, *pair.base);
      const IndexExtent& variant = ExtentOf(variant_, *pair.variant);
      bool is_known = base.digest_algorithm == DigestAlgorithm::kSha256Tree &&
                      variant.digest_algorithm == base.digest_algorithm && base.digest == variant.digest &&
                      base.dtype == variant.dtype && base.decoded_bytes == variant.decoded_bytes;
      if (is_known) continue;
      uint64_t units = ComparedUnits(base, variant);
      for (uint64_t begin = 0; begin < units; begin += kJobUnits) {
        jobs_.push_back({number, begin, std::min(kJobUnits, units - begin)});
      }
    }
  }

  Status CompareTensors() {
    std::vector<ElementDifference> found(jobs_.size());
    uint64_t total_bytes = 0;
    for (const Job& job : jobs_) total_bytes += BytesOf(job);
    ProgressMeter progress(options_.progress, total_bytes);
    progress.SetStage("diff");
    const size_t batch = pool_.thread_count() * 2;  // between two reports of progress
    for (size_t first = 0; first < jobs_.size(); first += batch) {
      size_t count = std::min(batch, jobs_.size() - first);
      Status status = pool_.ParallelFor(count, [&](size_t i, size_t worker) -> Status {
        const Job& job = jobs_[first + i];
        FLYWEIGHT_ASSIGN(found[first + i], Compare(job, worker));
        progress.Add(BytesOf(job));
        return Status::Ok();
      });
      FLYWEIGHT_TRY(std::move(status));
      progress.Report();
    }
    std::vector<ElementDifference> sums(pairs_.size());
    for (size_t i = 0; i < jobs_.size(); ++i) sums[jobs_[i].pair].Add(found[i]);
    for (size_t number = 0; number < pairs_.size(); ++number) Describe(sums[number], report_.tensors[number]);
    return Status::Ok();
  }

  uint64_t BytesOf(const Job& job) const {
    return job.unit_count * ComparedUnitBytes(ExtentOf(variant_, *pairs_[job.pair].variant).dtype);
  }

  Result<ElementDifference> Compare(const Job& job, size_t worker) {
    const TensorPair& pair = pairs_[job.pair];
    DType base_dtype = ExtentOf(base_, *pair.base).dtype;
    DType dtype = ExtentOf(variant_, *pair.variant).dtype;
    FLYWEIGHT_ASSIGN(ByteSpan a, ReadUnits(base_, *pair.base, base_dtype, job, buffers_[worker].base, worker));
    FLYWEIGHT_ASSIGN(ByteSpan b, ReadUnits(variant_, *pair.variant, dtype, job, buffers_[worker].variant, worker));
    return CompareElements(base_dtype, a, dtype, b);
  }

  static Result<ByteSpan> ReadUnits(ModelSide& side, ExtentId id, DType dtype, const Job& job, AlignedBuffer& buffer,
                                    size_t worker) {
    uint64_t unit_bytes = ComparedUnitBytes(dtype);
    auto size = static_cast<size_t>(job.unit_count * unit_bytes);
    buffer.Resize(size);
    MutableByteSpan target(buffer.data(), size);
    FLYWEIGHT_TRY(side.Read(id.file, id.extent, job.begin_unit * unit_bytes, target, worker));
    return ByteSpan(target);
  }

  static void Describe(const ElementDifference& found, TensorDiff& diff) {
    diff.compared_count = found.element_count;
    diff.changed_count = found.changed_count;
    diff.has_values = found.element_count > 0 && HasComparedValues(diff.dtype);
    if (diff.kind == DiffKind::kSame && found.changed_count > 0) diff.kind = DiffKind::kChanged;
    if (!diff.has_values) return;
    diff.largest_ulps = found.largest_ulps;
    diff.largest_difference = found.largest_difference;
    uint64_t count = found.element_count - found.not_finite_count;
    if (count > 0) diff.rms_difference = std::sqrt(found.squared_difference / static_cast<double>(count));
    if (found.squared_base > 0) diff.relative_difference = std::sqrt(found.squared_difference / found.squared_base);
  }

  Status CompareFiles() {
    std::set<std::string> rebuilt = FilesWithOtherTensors();
    for (const FilePair& pair : MatchFiles(base_.index(), variant_.index())) {
      const ArchiveIndex& index = pair.variant.has_value() ? variant_.index() : base_.index();
      const IndexFile& file = index.files[pair.variant.has_value() ? *pair.variant : *pair.base];
      FileDiff diff{DiffKind::kSame, file.name, pair.is_rest};
      if (!pair.base.has_value() || !pair.variant.has_value()) {
        diff.kind = pair.variant.has_value() ? DiffKind::kAdded : DiffKind::kRemoved;
      } else {
        // The header of a file that holds other tensors is another; the tensors tell that already.
        if (pair.is_rest && rebuilt.contains(index.is_tree ? file.name : std::string())) continue;
        FLYWEIGHT_ASSIGN(bool is_equal, HasEqualBytes(*pair.base, *pair.variant));
        if (!is_equal) diff.kind = DiffKind::kChanged;
      }
      if (diff.kind != DiffKind::kSame) report_.files.push_back(std::move(diff));
    }
    return Status::Ok();
  }

  std::set<std::string> FilesWithOtherTensors() const {
    std::set<std::string> files;
    for (const TensorDiff& tensor : report_.tensors) {
      if (tensor.kind != DiffKind::kSame && tensor.kind != DiffKind::kChanged) files.insert(tensor.file);
    }
    return files;
  }

  /// Compares what of two files is not tensors, in order.
  Result<bool> HasEqualBytes(size_t base, size_t variant) {
    std::vector<ExtentId> left = RawExtents(base_.index(), base);
    std::vector<ExtentId> right = RawExtents(variant_.index(), variant);
    if (left.size() != right.size()) return false;
    for (size_t i = 0; i < left.size(); ++i) {
      FLYWEIGHT_ASSIGN(bool is_equal, IsEqualExtent(left[i], right[i]));
      if (!is_equal) return false;
    }
    return true;
  }

  static std::vector<ExtentId> RawExtents(const ArchiveIndex& index, size_t file) {
    std::vector<ExtentId> extents;
    for (size_t i = 0; i < index.files[file].extents.size(); ++i) {
      if (!index.files[file].extents[i].is_tensor) extents.push_back({file, i});
    }
    return extents;
  }

  Result<bool> IsEqualExtent(ExtentId base, ExtentId variant) {
    uint64_t size_bytes = ExtentOf(base_, base).decoded_bytes;
    if (size_bytes != ExtentOf(variant_, variant).decoded_bytes) return false;
    for (uint64_t begin = 0; begin < size_bytes; begin += kJobUnits) {
      Job job{0, begin, std::min(kJobUnits, size_bytes - begin)};
      FLYWEIGHT_ASSIGN(ByteSpan a, ReadUnits(base_, base, DType::kOpaque, job, buffers_[0].base, 0));
      FLYWEIGHT_ASSIGN(ByteSpan b, ReadUnits(variant_, variant, DType::kOpaque, job, buffers_[0].variant, 0));
      if (std::memcmp(a.data(), b.data(), a.size()) != 0) return false;
    }
    return true;
  }

  ModelSide& base_;
  ModelSide& variant_;
  const DiffOptions& options_;
  ThreadPool& pool_;
  std::vector<Buffers> buffers_;
  std::vector<TensorPair> pairs_;
  std::vector<Job> jobs_;
  DiffReport report_;
};

}  // namespace

std::string_view DiffKindName(DiffKind kind) {
  constexpr std::array<std::string_view, kDiffKindCount> kNames = {"same",      "changed", "renamed", "re-typed",
                                                                   "re-shaped", "added",   "removed"};
  return kNames[At(kind)];
}

bool DiffReport::is_same() const {
  for (size_t kind = 0; kind < kDiffKindCount; ++kind) {
    if (kind != At(DiffKind::kSame) && tensor_counts[kind] > 0) return false;
  }
  return files.empty();
}

Result<DiffReport> DiffModels(const std::string& base, const std::string& variant, const DiffOptions& options) {
  return Guarded([&]() -> Result<DiffReport> {
    ThreadPool pool(ResolveThreadCount(options.thread_count));
    auto open = [&](const std::string& path, const std::string& other) -> Result<std::unique_ptr<ModelSide>> {
      Result<std::unique_ptr<ModelSide>> side = OpenModelSide(path, other, pool.thread_count(), options.notice);
      if (!side.ok()) return WithContext(side.take_error(), path == kStreamPath ? "standard input" : path);
      return side;
    };
    FLYWEIGHT_ASSIGN(std::unique_ptr<ModelSide> base_side, open(base, variant));
    FLYWEIGHT_ASSIGN(std::unique_ptr<ModelSide> variant_side, open(variant, base));
    return Differ(*base_side, *variant_side, options, pool).Run();
  });
}

}  // namespace flyweight
