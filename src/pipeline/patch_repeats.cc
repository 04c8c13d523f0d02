#include "pipeline/patch_repeats.h"

#include <algorithm>
#include <vector>

#include "pipeline/extent_items.h"
#include "pipeline/sharing.h"

namespace flyweight {
namespace {

/// What a piece takes in both copies of the index, about.
constexpr double kPieceBytes = 40;
constexpr int kRounds = 4;

class Releaser {
 public:
  Releaser(const ContentSet& contents, const PatchBases& patches, Level level, ThreadPool& pool, ArchiveIndex& index)
      : all_contents_(contents),
        contents_(contents),
        patches_(patches),
        level_(level),
        pool_(pool),
        index_(index),
        places_(ItemsOf(index, AllFiles(index))) {}

  Status Run() {
    std::vector<uint64_t> released;
    for (uint64_t number = 0; number < places_.size(); ++number) {
      if (ExtentOf(index_, number).place == PlaceKind::kPatched) released.push_back(number);
    }
    if (released.empty()) return Status::Ok();
    ArchiveIndex shared;
    // What was shared with an extent that stays a patch is shared no longer: whatever loses by that stays one too.
    for (int round = 0; round < kRounds && !released.empty(); ++round) {
      shared = index_;
      Release(released, shared);
      FLYWEIGHT_TRY(FindShared(all_contents_, shared, level_));
      FLYWEIGHT_ASSIGN(std::vector<uint64_t> kept, SmallerShared(released, shared));
      if (kept == released) {
        Release(released, index_);
        return Status::Ok();
      }
      released = std::move(kept);
    }
    return Status::Ok();
  }

 private:
  IndexExtent& ExtentOf(ArchiveIndex& index, uint64_t number) const {
    return index.files[places_[number].file].extents[places_[number].extent];
  }

  void Release(const std::vector<uint64_t>& numbers, ArchiveIndex& index) const {
    for (uint64_t number : numbers) ExtentOf(index, number).place = PlaceKind::kRecord;
  }

  /// Those of `numbers` that are smaller as they are in `shared`.
  Result<std::vector<uint64_t>> SmallerShared(const std::vector<uint64_t>& numbers, ArchiveIndex& shared) {
    std::vector<char> is_smaller(numbers.size());
    std::vector<CodecScratch> scratch(pool_.thread_count());
    FLYWEIGHT_TRY(pool_.ParallelFor(numbers.size(), [&](size_t i, size_t worker) -> Status {
      const IndexExtent& extent = ExtentOf(shared, numbers[i]);
      if (extent.place == PlaceKind::kRecord) return Status::Ok();
      FLYWEIGHT_ASSIGN(bool smaller, IsSmaller(numbers[i], extent, scratch[worker]));
      is_smaller[i] = smaller ? 1 : 0;
      return Status::Ok();
    }));
    std::vector<uint64_t> smaller;
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (is_smaller[i] != 0) smaller.push_back(numbers[i]);
    }
    return smaller;
  }

  Result<bool> IsSmaller(uint64_t number, const IndexExtent& extent, CodecScratch& scratch) {
    const double pieces = kPieceBytes * static_cast<double>(extent.pieces.size() + 1);
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(places_[number].file));
    FLYWEIGHT_ASSIGN(PatchBaseContent base, patches_.Open(number));
    FLYWEIGHT_ASSIGN(ChosenPlan chosen,
                     ChoosePlan(content->source(), places_[number].offset, extent, base, level_, scratch));
    if (extent.own_bytes == 0) return pieces < chosen.estimated_bytes;
    FLYWEIGHT_ASSIGN(double whole,
                     EstimateWithoutBase(content->source(), places_[number].offset, extent, level_, scratch));
    const double own = whole * static_cast<double>(extent.own_bytes) / static_cast<double>(extent.decoded_bytes);
    return own + pieces < chosen.estimated_bytes;
  }

  const ContentSet& all_contents_;
  ContentCache contents_;
  const PatchBases& patches_;
  Level level_;
  ThreadPool& pool_;
  ArchiveIndex& index_;
  std::vector<ExtentItem> places_;
};

}  // namespace

Status ReleaseShared(const ContentSet& contents, const PatchBases& patches, Level level, ThreadPool& pool,
                     ArchiveIndex& index) {
  if (level == Level::kFast) return Status::Ok();
  return Releaser(contents, patches, level, pool, index).Run();
}

}  // namespace flyweight
