#include "pipeline/scan_sample.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "base/checked.h"
#include "codec/record.h"

namespace flyweight {
namespace {

// A group with more than a hundredth of all bytes decides the estimate, and gets so many chunks at least.
constexpr uint64_t kChunksOfLargeGroup = 8;
constexpr uint64_t kLargeShare = 100;

struct Group {
  std::vector<uint64_t> members;
  std::vector<uint64_t> first_chunk;  ///< one a member: chunks of the members before it
  uint64_t chunk_count = 0;
  uint64_t total_bytes = 0;
};

using GroupKey = std::tuple<std::string, bool, DType, Shape>;

/// ".json" of "a/b.json".
std::string SuffixOf(const std::string& name) {
  size_t dot = name.find_last_of("./");
  return dot == std::string::npos || name[dot] == '/' ? "" : name.substr(dot);
}

class Sampler {
 public:
  Sampler(const ArchiveIndex& index, const std::vector<ExtentItem>& places) : index_(index), places_(places) {}

  ScanSample Choose(uint64_t sample_bytes, uint64_t max_sample_bytes) {
    FormGroups();
    for (const Group& group : groups_) Take(group, sample_bytes);
    std::ranges::sort(sample_.extents, {}, &ExtentSample::number);
    ChooseForMax(max_sample_bytes);
    return std::move(sample_);
  }

 private:
  const IndexExtent& ExtentOf(uint64_t number) const {
    return index_.files[places_[number].file].extents[places_[number].extent];
  }

  void FormGroups() {
    std::map<GroupKey, size_t> known;
    sample_.groups.resize(places_.size());
    for (uint64_t number = 0; number < places_.size(); ++number) {
      const IndexExtent& extent = ExtentOf(number);
      std::string kind =
          extent.is_tensor ? WithoutNumbers(extent.name) : SuffixOf(index_.files[places_[number].file].name);
      GroupKey key{std::move(kind), extent.is_tensor, extent.dtype, extent.shape};
      size_t number_of_group = known.try_emplace(std::move(key), known.size()).first->second;
      sample_.groups[number] = number_of_group;
      if (number_of_group == groups_.size()) groups_.emplace_back();
      if (extent.place != PlaceKind::kRecord) continue;
      Group& group = groups_[number_of_group];
      group.members.push_back(number);
      group.first_chunk.push_back(group.chunk_count);
      group.chunk_count += CeilDiv(extent.decoded_bytes, ChunkBytesFor(extent.dtype));
      group.total_bytes += extent.decoded_bytes;
      total_bytes_ += extent.decoded_bytes;
    }
    sample_.group_count = groups_.size();
  }

  /// Takes a group's share of the sample, the middles of as many equal parts of its chunks.
  void Take(const Group& group, uint64_t sample_bytes) {
    if (group.chunk_count == 0) return;
    double share = static_cast<double>(group.total_bytes) / static_cast<double>(total_bytes_);
    double part = static_cast<double>(sample_bytes) / static_cast<double>(total_bytes_);
    uint64_t least = share > 1.0 / kLargeShare ? kChunksOfLargeGroup : 1;
    auto wanted = static_cast<uint64_t>(part * static_cast<double>(group.chunk_count));
    uint64_t count = std::min(std::max(wanted, least), group.chunk_count);
    size_t member = 0;
    size_t taken_from = group.members.size();  // none yet
    for (uint64_t i = 0; i < count; ++i) {
      auto at = static_cast<uint64_t>((static_cast<double>(i) + 0.5) * static_cast<double>(group.chunk_count) /
                                      static_cast<double>(count));
      while (member + 1 < group.members.size() && group.first_chunk[member + 1] <= at) ++member;
      if (member != taken_from) sample_.extents.push_back({group.members[member], {}, {}});
      taken_from = member;
      sample_.extents.back().chunks.push_back(at - group.first_chunk[member]);
    }
  }

  uint64_t BytesOf(const ExtentSample& extent, uint64_t chunk) const {
    uint64_t chunk_bytes = ChunkBytesFor(ExtentOf(extent.number).dtype);
    return std::min(chunk_bytes, ExtentOf(extent.number).decoded_bytes - chunk * chunk_bytes);
  }

  /// The first sampled chunk of each group, and of the others as many as fit, evenly spread.
  void ChooseForMax(uint64_t max_sample_bytes) {
    double taken_bytes = 0;
    for (const ExtentSample& extent : sample_.extents) {
      for (uint64_t chunk : extent.chunks) taken_bytes += static_cast<double>(BytesOf(extent, chunk));
    }
    double part = taken_bytes == 0 ? 0 : static_cast<double>(max_sample_bytes) / taken_bytes;
    std::vector<bool> is_known(sample_.group_count);
    std::vector<double> owed(sample_.group_count);
    for (ExtentSample& extent : sample_.extents) {
      size_t group = sample_.groups[extent.number];
      for (size_t i = 0; i < extent.chunks.size(); ++i) {
        owed[group] += part;
        bool is_taken = !is_known[group] || owed[group] >= 1;
        extent.is_for_max.push_back(is_taken);
        if (is_taken) owed[group] -= 1;
        is_known[group] = true;
      }
    }
  }

  const ArchiveIndex& index_;
  const std::vector<ExtentItem>& places_;
  std::vector<Group> groups_;
  uint64_t total_bytes_ = 0;
  ScanSample sample_;
};

}  // namespace

std::string WithoutNumbers(std::string_view text) {
  std::string pattern;
  for (char letter : text) {
    bool is_digit = letter >= '0' && letter <= '9';
    if (!is_digit) pattern += letter;
    if (is_digit && !pattern.ends_with('*')) pattern += '*';
  }
  return pattern;
}

ScanSample ChooseScanSample(const ArchiveIndex& index, const std::vector<ExtentItem>& places, uint64_t sample_bytes,
                            uint64_t max_sample_bytes) {
  return Sampler(index, places).Choose(sample_bytes, max_sample_bytes);
}

}  // namespace flyweight
