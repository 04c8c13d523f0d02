#include "pipeline/duplicates.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "pipeline/extent_items.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampleBytes = 4096;
constexpr uint64_t kSampleCount = 4;
constexpr size_t kCompareBytes = size_t{256} << 10;

/// An extent that has the size of another.
struct Candidate {
  uint64_t size_bytes = 0;
  uint64_t sample_hash = 0;
  uint64_t number = 0;  ///< of the extent, over all files
};

class DuplicateFinder {
 public:
  DuplicateFinder(const ContentSet& contents, ArchiveIndex& index, ThreadPool& pool)
      : contents_(contents), index_(index), pool_(pool), places_(ItemsOf(index, AllFiles(index))) {}

  Status Run() {
    CollectCandidates();
    FLYWEIGHT_TRY(
        pool_.ParallelFor(candidates_.size(), [this](size_t job, size_t) { return Sample(candidates_[job]); }));
    std::ranges::sort(candidates_, [](const Candidate& a, const Candidate& b) {
      return std::tie(a.size_bytes, a.sample_hash, a.number) < std::tie(b.size_bytes, b.sample_hash, b.number);
    });
    auto is_alike = [](const Candidate& a, const Candidate& b) {
      return a.size_bytes == b.size_bytes && a.sample_hash == b.sample_hash;
    };
    for (size_t begin = 0; begin < candidates_.size();) {
      size_t end = begin + 1;
      while (end < candidates_.size() && is_alike(candidates_[begin], candidates_[end])) ++end;
      FLYWEIGHT_TRY(MatchGroup(std::span(candidates_).subspan(begin, end - begin)));
      begin = end;
    }
    return Status::Ok();
  }

 private:
  IndexExtent& ExtentOf(uint64_t number) {
    const ExtentItem& place = places_[number];
    return index_.files[place.file].extents[place.extent];
  }

  void CollectCandidates() {
    std::vector<Candidate> all;
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = ExtentOf(number);
      if (extent.place == PlaceKind::kRecord) all.push_back({extent.decoded_bytes, 0, number});
    }
    std::ranges::sort(all, {}, &Candidate::size_bytes);
    for (size_t i = 0; i < all.size(); ++i) {
      bool like_before = i > 0 && all[i - 1].size_bytes == all[i].size_bytes;
      bool like_behind = i + 1 < all.size() && all[i + 1].size_bytes == all[i].size_bytes;
      if (like_before || like_behind) candidates_.push_back(all[i]);
    }
  }

  /// Hashes pieces at the beginning, the end and between.
  Status Sample(Candidate& candidate) {
    const ExtentItem& place = places_[candidate.number];
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(place.file));
    uint64_t piece_bytes = std::min(kSampleBytes, candidate.size_bytes);
    uint64_t stride = (candidate.size_bytes - piece_bytes) / (kSampleCount - 1);
    Xxh3Stream hash;
    std::byte piece[kSampleBytes];
    MutableByteSpan target(piece, static_cast<size_t>(piece_bytes));
    for (uint64_t i = 0; i < kSampleCount; ++i) {
      FLYWEIGHT_TRY(content->source().ReadAt(place.offset + i * stride, target));
      hash.Update(target);
      if (stride == 0) break;
    }
    candidate.sample_hash = hash.Finish();
    return Status::Ok();
  }

  /// Extents of one size and sample, by number. Nearly always all are equal, so that each is compared once.
  Status MatchGroup(std::span<const Candidate> group) {
    std::vector<uint64_t> originals;
    for (const Candidate& candidate : group) {
      bool found = false;
      for (size_t i = 0; i < originals.size() && !found; ++i) {
        if (!MayShare(ExtentOf(candidate.number), ExtentOf(originals[i]))) continue;
        FLYWEIGHT_ASSIGN(found, IsEqual(candidate.number, originals[i]));
        if (!found) continue;
        IndexExtent& extent = ExtentOf(candidate.number);
        extent.place = PlaceKind::kSame;
        extent.same_as = originals[i];
      }
      if (!found && originals.size() < kOriginalsMaxCount) originals.push_back(candidate.number);
    }
    return Status::Ok();
  }

  /// A tensor's digest is a tree over chunks, which therefore have to be cut alike.
  static bool MayShare(const IndexExtent& later, const IndexExtent& earlier) {
    uint64_t later_chunk = ChunkBytesFor(later.dtype);
    uint64_t earlier_chunk = ChunkBytesFor(earlier.dtype);
    return !later.is_tensor || later_chunk == earlier_chunk ||
           later.decoded_bytes <= std::min(later_chunk, earlier_chunk);
  }

  Result<bool> IsEqual(uint64_t left, uint64_t right) {
    const ExtentItem& left_place = places_[left];
    const ExtentItem& right_place = places_[right];
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> left_content, contents_.Open(left_place.file));
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> right_content, contents_.Open(right_place.file));
    if (buffers_.size() < 2 * kCompareBytes) buffers_.Resize(2 * kCompareBytes);
    uint64_t size_bytes = ExtentOf(left).decoded_bytes;
    for (uint64_t begin = 0; begin < size_bytes; begin += kCompareBytes) {
      size_t count = static_cast<size_t>(std::min<uint64_t>(kCompareBytes, size_bytes - begin));
      MutableByteSpan a(buffers_.data(), count);
      MutableByteSpan b(buffers_.data() + kCompareBytes, count);
      FLYWEIGHT_TRY(left_content->source().ReadAt(left_place.offset + begin, a));
      FLYWEIGHT_TRY(right_content->source().ReadAt(right_place.offset + begin, b));
      if (std::memcmp(a.data(), b.data(), count) != 0) return false;
    }
    return true;
  }

  /// Files made so that all samples are alike must not cost quadratic time.
  static constexpr size_t kOriginalsMaxCount = 8;

  ContentCache contents_;
  ArchiveIndex& index_;
  ThreadPool& pool_;
  std::vector<ExtentItem> places_;
  std::vector<Candidate> candidates_;
  AlignedBuffer buffers_;
};

}  // namespace

Status FindDuplicates(const ContentSet& contents, ArchiveIndex& index, ThreadPool& pool) {
  return DuplicateFinder(contents, index, pool).Run();
}

}  // namespace flyweight
