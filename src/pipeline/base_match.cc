#include "pipeline/base_match.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/aligned_buffer.h"
#include "delta/identity.h"
#include "pipeline/closeness.h"
#include "pipeline/extent_items.h"

namespace flyweight {
namespace {

/// Headers of models stay with the patch, so that their base may be in another container or in other shards.
constexpr uint64_t kHeaderMaxBytes = uint64_t{1} << 20;
constexpr uint64_t kRawMinBytes = 1024;
constexpr size_t kTriesMaxCount = 8;
constexpr size_t kCloseMaxCount = 256;

/// Patches on the parts of a model. While the index is made, the numbers of its extents' bases are those of parts.
class ModelBases final : public PatchBases {
 public:
  ModelBases(std::shared_ptr<Model> model, const Digest& identity) : model_(std::move(model)), identity_(identity) {}

  void SetPart(uint64_t number, size_t part) { parts_.emplace(number, part); }

  Result<PatchBaseContent> Open(uint64_t number) const override {
    size_t part = parts_.at(number);
    const ModelPart& base = model_->parts()[part];
    return PatchBaseContent{std::make_shared<ModelPartSource>(*model_, part), 0, base.size_bytes, base.dtype};
  }

  Status Finish(ArchiveIndex& index) override {
    BaseTable table;
    table.identity = identity_;
    table.name = model_->name();
    table.result_identity = IdentityOf(index).value_or(Digest{});
    std::map<size_t, uint64_t> rows;
    for (IndexFile& file : index.files) {
      for (IndexExtent& extent : file.extents) {
        bool is_outside = extent.place == PlaceKind::kPatched && extent.base_is_outside;
        if (extent.place != PlaceKind::kBase && !is_outside) continue;
        auto part = static_cast<size_t>(extent.base_number);
        auto [row, is_new] = rows.emplace(part, table.rows.size());
        if (is_new) {
          FLYWEIGHT_ASSIGN(BaseRow described, RowOf(part));
          table.rows.push_back(std::move(described));
        }
        extent.base_number = row->second;
      }
    }
    index.base = std::move(table);
    SetPatchDepths(index);
    return Status::Ok();
  }

 private:
  Result<BaseRow> RowOf(size_t number) const {
    const ModelPart& part = model_->parts()[number];
    ModelPartSource source(*model_, number);
    FLYWEIGHT_ASSIGN(uint64_t sample, SampleHash(source, 0, part.size_bytes));
    return BaseRow{part.is_tensor, part.name, part.dtype, part.shape, part.size_bytes, *part.digest, sample};
  }

  std::shared_ptr<Model> model_;
  Digest identity_;
  std::unordered_map<uint64_t, size_t> parts_;  ///< of patched extents
};

/// Whether a tensor can be a patch on a part: the same shape, or more or fewer rows.
bool MayPatch(const IndexExtent& extent, const ModelPart& part) {
  if (!extent.is_tensor || !part.is_tensor || part.size_bytes == 0) return false;
  if (extent.shape.size() != part.shape.size()) return false;
  if (extent.shape.empty()) return true;
  return std::equal(extent.shape.begin() + 1, extent.shape.end(), part.shape.begin() + 1);
}

/// What was found for an extent.
struct Match {
  uint64_t number = 0;  ///< of the extent, over all files
  bool is_same = false;
  std::optional<size_t> part;
};

class BaseMatcher {
 public:
  BaseMatcher(const ContentSet& contents, ArchiveIndex& index, const Model& model, ThreadPool& pool)
      : contents_(contents), index_(index), model_(model), pool_(pool), places_(ItemsOf(index, AllFiles(index))) {}

  Status Run(ModelBases& bases) {
    ListParts();
    ListExtents();
    std::vector<Buffers> buffers(pool_.thread_count());
    FLYWEIGHT_TRY(pool_.ParallelFor(
        matches_.size(), [&](size_t job, size_t worker) { return FindNamed(matches_[job], buffers[worker]); }));
    for (const Match& match : matches_) {
      if (match.part.has_value()) is_claimed_[*match.part] = true;
    }
    FLYWEIGHT_TRY(pool_.ParallelFor(matches_.size(), [&](size_t job, size_t worker) -> Status {
      Match& match = matches_[job];
      if (match.is_same) return Status::Ok();
      return FindElsewhere(match, buffers[worker]);
    }));
    for (const Match& match : matches_) {
      if (match.part.has_value()) Apply(match, bases);
    }
    return Status::Ok();
  }

 private:
  struct Buffers {
    AlignedBuffer extent;
    AlignedBuffer part;
    CodecScratch scratch;
  };

  IndexExtent& ExtentOf(uint64_t number) { return index_.files[places_[number].file].extents[places_[number].extent]; }

  void ListParts() {
    const std::vector<ModelPart>& parts = model_.parts();
    is_claimed_.resize(parts.size());
    for (size_t part = 0; part < parts.size(); ++part) {
      if (parts[part].size_bytes == 0) continue;
      if (parts[part].is_tensor) by_name_[parts[part].name].push_back(part);
      by_size_[parts[part].size_bytes].push_back(part);
    }
  }

  void ListExtents() {
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = ExtentOf(number);
      if (extent.place != PlaceKind::kRecord) continue;
      if (!extent.is_tensor && !MayTakeRaw(index_.files[places_[number].file], extent)) continue;
      matches_.push_back({number, false, {}});
    }
  }

  static bool MayTakeRaw(const IndexFile& file, const IndexExtent& extent) {
    if (extent.decoded_bytes < kRawMinBytes) return false;
    bool has_tensors = std::ranges::any_of(file.extents, [](const IndexExtent& other) { return other.is_tensor; });
    return !has_tensors || extent.decoded_bytes >= kHeaderMaxBytes;
  }

  /// The part of the extent's name, equal or not.
  Status FindNamed(Match& match, Buffers& buffers) {
    const IndexExtent& extent = ExtentOf(match.number);
    auto named = by_name_.find(extent.name);
    if (!extent.is_tensor || named == by_name_.end()) return Status::Ok();
    for (size_t part : named->second) {
      const ModelPart& candidate = model_.parts()[part];
      if (!MayPatch(extent, candidate)) continue;
      bool is_like = candidate.dtype == extent.dtype && candidate.size_bytes == extent.decoded_bytes;
      if (!is_like && match.part.has_value()) continue;
      match.part = part;
      if (!is_like) continue;
      FLYWEIGHT_ASSIGN(match.is_same, IsEqual(match.number, part, buffers));
      if (match.is_same) return Status::Ok();
    }
    return Status::Ok();
  }

  /// An equal part of any name; for tensors whose name the base does not have, else the closest one.
  Status FindElsewhere(Match& match, Buffers& buffers) {
    const IndexExtent& extent = ExtentOf(match.number);
    auto of_size = by_size_.find(extent.decoded_bytes);
    if (of_size == by_size_.end()) return Status::Ok();
    FLYWEIGHT_ASSIGN(std::vector<std::byte> sample, SampleOf(match.number));
    const bool has_named = match.part.has_value();
    double closest = kClosenessLimit;
    size_t tried_count = 0;
    size_t compared_count = 0;
    for (size_t part : of_size->second) {
      const ModelPart& candidate = model_.parts()[part];
      if (candidate.is_tensor != extent.is_tensor || ++compared_count > kCloseMaxCount) continue;
      ModelPartSource source(model_, part);
      FLYWEIGHT_ASSIGN(std::vector<std::byte> other, ReadSample(source, 0, source.size()));
      if (other == sample && tried_count++ < kTriesMaxCount && MayShareDigest(extent, candidate)) {
        FLYWEIGHT_ASSIGN(match.is_same, IsEqual(match.number, part, buffers));
        if (match.is_same) match.part = part;
        if (match.is_same) return Status::Ok();
      }
      bool may_rename = candidate.shape == extent.shape && candidate.dtype == extent.dtype && !is_claimed_[part];
      if (has_named || !may_rename || !extent.is_tensor) continue;
      double distance = MeanDistance(extent.dtype, sample, other);
      if (distance >= closest) continue;
      closest = distance;
      match.part = part;
    }
    return Status::Ok();
  }

  /// A digest is a tree over chunks, which have to be cut alike for one to stand for both.
  static bool MayShareDigest(const IndexExtent& extent, const ModelPart& part) {
    return !extent.is_tensor || ChunkBytesFor(extent.dtype) == ChunkBytesFor(part.dtype);
  }

  Result<std::vector<std::byte>> SampleOf(uint64_t number) {
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(places_[number].file));
    return ReadSample(content->source(), places_[number].offset, ExtentOf(number).decoded_bytes);
  }

  Result<bool> IsEqual(uint64_t number, size_t part, Buffers& buffers) {
    const IndexExtent& extent = ExtentOf(number);
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(places_[number].file));
    uint64_t chunk_bytes = ChunkBytesFor(extent.dtype);
    for (uint64_t begin = 0; begin < extent.decoded_bytes; begin += chunk_bytes) {
      auto size = static_cast<size_t>(std::min(chunk_bytes, extent.decoded_bytes - begin));
      buffers.extent.Resize(size);
      buffers.part.Resize(size);
      FLYWEIGHT_TRY(content->source().ReadAt(places_[number].offset + begin, {buffers.extent.data(), size}));
      FLYWEIGHT_TRY(model_.Read(part, begin, {buffers.part.data(), size}, buffers.scratch));
      if (std::memcmp(buffers.extent.data(), buffers.part.data(), size) != 0) return false;
    }
    return true;
  }

  void Apply(const Match& match, ModelBases& bases) {
    IndexExtent& extent = ExtentOf(match.number);
    extent.place = match.is_same ? PlaceKind::kBase : PlaceKind::kPatched;
    extent.base_is_outside = true;
    extent.base_number = *match.part;
    extent.patch_depth = match.is_same ? 0 : 1;
    if (!match.is_same) bases.SetPart(match.number, *match.part);
  }

  ContentCache contents_;
  ArchiveIndex& index_;
  const Model& model_;
  ThreadPool& pool_;
  std::vector<ExtentItem> places_;
  std::unordered_map<std::string, std::vector<size_t>> by_name_;
  std::unordered_map<uint64_t, std::vector<size_t>> by_size_;
  std::vector<char> is_claimed_;  ///< parts that an extent of their name has for its base
  std::vector<Match> matches_;
};

}  // namespace

Result<std::unique_ptr<PatchBases>> MatchBase(const ContentSet& contents, ArchiveIndex& index,
                                              std::shared_ptr<Model> model, ThreadPool& pool) {
  FLYWEIGHT_ASSIGN(Digest identity, model->Identity(pool));
  std::vector<size_t> all(model->parts().size());
  for (size_t part = 0; part < all.size(); ++part) all[part] = part;
  FLYWEIGHT_TRY(model->Hash(all, pool));
  auto bases = std::make_unique<ModelBases>(model, identity);
  FLYWEIGHT_TRY(BaseMatcher(contents, index, *model, pool).Run(*bases));
  index.base.emplace();
  return std::unique_ptr<PatchBases>(std::move(bases));
}

}  // namespace flyweight
