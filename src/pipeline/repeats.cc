#include "pipeline/repeats.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/checked.h"
#include "pipeline/extent_items.h"
#include "pipeline/pieces.h"
#include "pipeline/repeat_match.h"
#include "pipeline/repeat_table.h"

namespace flyweight {
namespace {

// A position is looked up where it lies in a cluster: the first kStride bytes of every kSpacing. It is put into the
// table where it is a multiple of kStride in the first kSpacing bytes of a block. So whatever the distance between two
// copies, one position of a cluster of the later one meets one of the table, if the copies are longer than a block.
constexpr uint64_t kSpacing = uint64_t{64} << 10;
constexpr uint64_t kStride = 128;
constexpr uint64_t kEntriesABlock = kSpacing / kStride;
constexpr uint64_t kBlockBytes = uint64_t{1} << 20;
constexpr uint64_t kTableMaxEntries = uint64_t{1} << 22;
/// Places in the table are of this many strides; what lies behind is not looked at.
constexpr uint64_t kSearchedMaxBytes = kStride * (uint64_t{1} << 32) - (uint64_t{1} << 20);

/// Extents under this are not looked at.
constexpr uint64_t kExtentMinBytes = uint64_t{128} << 10;
/// What one position found has to be worth.
constexpr uint64_t kMatchMinBytes = uint64_t{16} << 10;
/// So many positions of an extent may be compared for nothing, and one more for each kSpacing of it: the windows of
/// tensors of few distinct values are alike in many places.
constexpr uint64_t kFreeMisses = 64;

/// An extent that may hold repeats.
struct Searched {
  uint64_t number = 0;    ///< over all files
  uint64_t position = 0;  ///< of its first byte among all that is searched, a multiple of kStride
};

constexpr uint64_t kInsertedMinBytes = uint64_t{8} << 10;
constexpr uint64_t kLineBytes = 64;
constexpr uint64_t kPrefetchBytes = 16 * kStride;

/// A hint: what is so far ahead need not exist.
void Prefetch(const std::byte* bytes, uint64_t ahead_bytes) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(bytes) + ahead_bytes));
}

class RepeatFinder {
 public:
  RepeatFinder(const ContentSet& contents, ArchiveIndex& index)
      : contents_(contents), index_(index), places_(ItemsOf(index, AllFiles(index))) {}

  Status Run() {
    uint64_t total_bytes = ListSearched();
    if (total_bytes < 2 * kExtentMinBytes) return Status::Ok();
    while (total_bytes / block_bytes_ > kTableMaxEntries / kEntriesABlock) block_bytes_ *= 2;
    uint64_t entry_count = (total_bytes / block_bytes_ + searched_.size()) * kEntriesABlock;
    table_.emplace(std::min(entry_count, kTableMaxEntries));
    PieceMaker maker;
    for (const Searched& searched : searched_) {
      FLYWEIGHT_TRY(Search(searched));
      if (!matches_.empty()) maker.Apply(static_cast<uint32_t>(searched.number), matches_, ExtentOf(searched.number));
    }
    return Status::Ok();
  }

 private:
  IndexExtent& ExtentOf(uint64_t number) { return index_.files[places_[number].file].extents[places_[number].extent]; }

  uint64_t ListSearched() {
    uint64_t total_bytes = 0;
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = ExtentOf(number);
      if (extent.place != PlaceKind::kRecord || extent.decoded_bytes < kExtentMinBytes) continue;
      uint64_t next_bytes = CeilDiv(extent.decoded_bytes, kStride) * kStride;
      if (next_bytes > kSearchedMaxBytes - total_bytes) break;
      searched_.push_back({number, total_bytes});
      total_bytes += next_bytes;
    }
    return total_bytes;
  }

  Result<ExtentContent> Open(uint64_t number) {
    const ExtentItem& place = places_[number];
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(place.file));
    return ExtentContent{std::move(content), place.offset, ExtentOf(number).decoded_bytes};
  }

  /// Fills matches_ with the repeats in an extent, in order, and the table with its positions.
  Status Search(const Searched& searched) {
    matches_.clear();
    covered_end_ = 0;
    miss_count_ = 0;
    FLYWEIGHT_ASSIGN(content_, Open(searched.number));
    step_ = MatchStep(ExtentOf(searched.number).dtype);
    uint64_t window_end = content_.size_bytes - RepeatTable::kWindowBytes;
    // In small extents a smaller share goes into the table, which then only surely finds what begins as they do.
    uint64_t inserted_bytes = std::clamp(content_.size_bytes / 16, kInsertedMinBytes, kSpacing);
    for (uint64_t block = 0; block < window_end; block += block_bytes_) {
      uint64_t block_end = std::min(block + block_bytes_, window_end);
      for (uint64_t cluster = block; cluster < block_end; cluster += kSpacing) {
        FLYWEIGHT_TRY(LookUpCluster(searched, cluster, std::min(cluster + kStride, window_end)));
        if (cluster == block) FLYWEIGHT_TRY(InsertBlock(searched, block, std::min(block + inserted_bytes, window_end)));
      }
    }
    return Status::Ok();
  }

  /// What is covered is in the table already.
  Status InsertBlock(const Searched& searched, uint64_t begin, uint64_t end) {
    if (covered_end_ >= end) return Status::Ok();
    FLYWEIGHT_ASSIGN(ByteSpan bytes, content_.Read(begin, end - begin + RepeatTable::kWindowBytes, buffer_));
    for (uint64_t at = begin; at < end; at += kStride) {
      if (at < covered_end_) continue;
      const std::byte* window = bytes.data() + (at - begin);
      Prefetch(window, kPrefetchBytes);
      if (RepeatTable::IsFlat(window)) continue;
      table_->Insert(RepeatTable::HashWindow(window), static_cast<uint32_t>((searched.position + at) / kStride));
    }
    return Status::Ok();
  }

  Status LookUpCluster(const Searched& searched, uint64_t begin, uint64_t end) {
    if (covered_end_ >= end || miss_count_ > kFreeMisses + begin / kSpacing) return Status::Ok();
    FLYWEIGHT_ASSIGN(ByteSpan bytes, content_.Read(begin, end - begin + RepeatTable::kWindowBytes, buffer_));
    for (uint64_t ahead = 0; ahead <= kStride; ahead += kLineBytes) Prefetch(bytes.data(), kSpacing + ahead);
    for (uint64_t at = begin; at < end; at += step_) {
      if (at < covered_end_) continue;
      const std::byte* window = bytes.data() + (at - begin);
      std::optional<uint32_t> found = table_->Find(RepeatTable::HashWindow(window));
      if (!found.has_value() || RepeatTable::IsFlat(window)) continue;
      FLYWEIGHT_ASSIGN(bool is_match, Match(searched, at, *found * kStride));
      if (is_match) return Status::Ok();
      ++miss_count_;
    }
    return Status::Ok();
  }

  /// Compares what is at `at` of the extent with what is at `position` of all that is searched.
  Result<bool> Match(const Searched& searched, uint64_t at, uint64_t position) {
    auto after = std::ranges::upper_bound(searched_, position, {}, &Searched::position);
    const Searched& earlier = *std::prev(after);
    ExtentContent other = content_;
    if (earlier.number != searched.number) {
      FLYWEIGHT_ASSIGN(other, Open(earlier.number));
    }
    FLYWEIGHT_ASSIGN(std::vector<RepeatMatch> found,
                     matcher_.Match({&content_, &other, at, position - earlier.position, covered_end_}));
    uint64_t matched_bytes = 0;
    for (RepeatMatch& match : found) {
      match.source_extent = static_cast<uint32_t>(earlier.number);
      matched_bytes += match.end - match.begin;
    }
    if (matched_bytes < kMatchMinBytes) return false;
    matches_.insert(matches_.end(), found.begin(), found.end());
    covered_end_ = matches_.back().end;
    return true;
  }

  ContentCache contents_;
  ArchiveIndex& index_;
  std::vector<ExtentItem> places_;
  std::vector<Searched> searched_;
  uint64_t block_bytes_ = kBlockBytes;
  std::optional<RepeatTable> table_;
  RepeatMatcher matcher_;
  AlignedBuffer buffer_;

  // Of the extent that is searched:
  ExtentContent content_;
  uint64_t step_ = 1;
  uint64_t covered_end_ = 0;
  uint64_t miss_count_ = 0;
  std::vector<RepeatMatch> matches_;
};

}  // namespace

Status FindRepeats(const ContentSet& contents, ArchiveIndex& index) { return RepeatFinder(contents, index).Run(); }

}  // namespace flyweight
