#include "pipeline/casts.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "pipeline/extent_items.h"
#include "pipeline/repeat_match.h"
#include "tensor/cast.h"

namespace flyweight {
namespace {

constexpr uint64_t kCastMinWords = 2048;
constexpr uint64_t kSampleRuns = 8;
constexpr uint64_t kRunWords = 32;
constexpr uint64_t kSampleWords = kSampleRuns * kRunWords;
constexpr uint64_t kCompareWords = uint64_t{64} << 10;
constexpr uint64_t kWideBytes = 4;
constexpr uint64_t kNarrowBytes = 2;
constexpr CastMethod kMethods[] = {CastMethod::kBF16, CastMethod::kBF16Truncated, CastMethod::kF16};

/// What a tensor and its cast have in common: words, dtype of the cast, and the cast's words at some places.
using SampleKey = std::tuple<uint64_t, DType, uint64_t>;

struct Origin {
  uint64_t number = 0;
  CastMethod method = CastMethod::kBF16;
};

class CastFinder {
 public:
  CastFinder(const ContentSet& contents, ArchiveIndex& index)
      : contents_(contents), index_(index), places_(ItemsOf(index, AllFiles(index))) {}

  Status Run() {
    std::set<uint64_t> narrow_counts;
    std::set<uint64_t> wide_counts;
    ForEach([&](const IndexExtent& extent) { return IsNarrow(extent); },
            [&](uint64_t number) { narrow_counts.insert(ExtentOf(number).decoded_bytes / kNarrowBytes); });
    std::vector<uint64_t> wide;
    ForEach([&](const IndexExtent& extent) { return IsWide(extent) && narrow_counts.contains(WordsOf(extent)); },
            [&](uint64_t number) { wide.push_back(number); });
    for (uint64_t number : wide) {
      wide_counts.insert(WordsOf(ExtentOf(number)));
      FLYWEIGHT_TRY(AddOrigins(number));
    }
    std::vector<uint64_t> narrow;
    ForEach([&](const IndexExtent& extent) { return IsNarrow(extent) && wide_counts.contains(WordsOf(extent)); },
            [&](uint64_t number) { narrow.push_back(number); });
    for (uint64_t number : narrow) FLYWEIGHT_TRY(FindOriginOf(number));
    return Status::Ok();
  }

 private:
  IndexExtent& ExtentOf(uint64_t number) { return index_.files[places_[number].file].extents[places_[number].extent]; }

  template <typename IsWanted, typename Visit>
  void ForEach(const IsWanted& is_wanted, const Visit& visit) {
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = ExtentOf(number);
      if (extent.place == PlaceKind::kRecord && extent.is_tensor && is_wanted(extent)) visit(number);
    }
  }

  static bool IsWide(const IndexExtent& extent) {
    return extent.dtype == DType::kF32 && extent.decoded_bytes >= kCastMinWords * kWideBytes;
  }
  static bool IsNarrow(const IndexExtent& extent) {
    bool is_half = extent.dtype == DType::kBF16 || extent.dtype == DType::kF16;
    return is_half && extent.decoded_bytes >= kCastMinWords * kNarrowBytes;
  }
  static uint64_t WordsOf(const IndexExtent& extent) {
    return extent.decoded_bytes / (extent.dtype == DType::kF32 ? kWideBytes : kNarrowBytes);
  }

  Result<ExtentContent> Open(uint64_t number) {
    const ExtentItem& place = places_[number];
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(place.file));
    return ExtentContent{std::move(content), place.offset, ExtentOf(number).decoded_bytes};
  }

  /// Runs of words at equal distances, the first and the last among them.
  Result<std::vector<std::byte>> Sample(uint64_t number) {
    FLYWEIGHT_ASSIGN(ExtentContent content, Open(number));
    const IndexExtent& extent = ExtentOf(number);
    uint64_t word_bytes = extent.dtype == DType::kF32 ? kWideBytes : kNarrowBytes;
    uint64_t stride_words = (WordsOf(extent) - kRunWords) / (kSampleRuns - 1);
    std::vector<std::byte> sample;
    for (uint64_t run = 0; run < kSampleRuns; ++run) {
      FLYWEIGHT_ASSIGN(ByteSpan words,
                       content.Read(run * stride_words * word_bytes, kRunWords * word_bytes, wide_storage_));
      sample.insert(sample.end(), words.begin(), words.end());
    }
    return sample;
  }

  /// Tensors of one value are stored in next to nothing anyway.
  static bool IsConstant(ByteSpan words, size_t word_bytes) {
    return std::equal(words.begin() + static_cast<ptrdiff_t>(word_bytes), words.end(), words.begin());
  }

  Status AddOrigins(uint64_t number) {
    FLYWEIGHT_ASSIGN(std::vector<std::byte> sample, Sample(number));
    if (IsConstant(sample, kWideBytes)) return Status::Ok();
    std::byte words[kSampleWords * kNarrowBytes];
    for (CastMethod method : kMethods) {
      CastFromF32(method, sample, words);
      origins_.emplace(SampleKey{WordsOf(ExtentOf(number)), CastTarget(method), Xxh3(words)}, Origin{number, method});
    }
    return Status::Ok();
  }

  Status FindOriginOf(uint64_t number) {
    FLYWEIGHT_ASSIGN(std::vector<std::byte> sample, Sample(number));
    IndexExtent& extent = ExtentOf(number);
    auto [begin, end] = origins_.equal_range({WordsOf(extent), extent.dtype, Xxh3(sample)});
    size_t tried = 0;
    for (auto origin = begin; origin != end && tried < kTriesMaxCount; ++origin, ++tried) {
      FLYWEIGHT_ASSIGN(bool is_cast, IsCast(number, origin->second));
      if (!is_cast) continue;
      extent.place = PlaceKind::kCast;
      extent.cast_method = origin->second.method;
      extent.cast_of = origin->second.number;
      break;
    }
    return Status::Ok();
  }

  Result<bool> IsCast(uint64_t number, const Origin& origin) {
    FLYWEIGHT_ASSIGN(ExtentContent narrow, Open(number));
    FLYWEIGHT_ASSIGN(ExtentContent wide, Open(origin.number));
    cast_.Resize(kCompareWords * kNarrowBytes);
    uint64_t word_count = narrow.size_bytes / kNarrowBytes;
    for (uint64_t word = 0; word < word_count; word += kCompareWords) {
      uint64_t count = std::min(kCompareWords, word_count - word);
      FLYWEIGHT_ASSIGN(ByteSpan source, wide.Read(word * kWideBytes, count * kWideBytes, wide_storage_));
      FLYWEIGHT_ASSIGN(ByteSpan words, narrow.Read(word * kNarrowBytes, count * kNarrowBytes, narrow_storage_));
      MutableByteSpan cast(cast_.data(), words.size());
      CastFromF32(origin.method, source, cast);
      if (std::memcmp(cast.data(), words.data(), words.size()) != 0) return false;
    }
    return true;
  }

  /// Files made so that all samples are alike must not cost quadratic time.
  static constexpr size_t kTriesMaxCount = 8;

  ContentCache contents_;
  ArchiveIndex& index_;
  std::vector<ExtentItem> places_;
  std::multimap<SampleKey, Origin> origins_;
  AlignedBuffer wide_storage_;
  AlignedBuffer narrow_storage_;
  AlignedBuffer cast_;
};

}  // namespace

Status FindCasts(const ContentSet& contents, ArchiveIndex& index) { return CastFinder(contents, index).Run(); }

}  // namespace flyweight
