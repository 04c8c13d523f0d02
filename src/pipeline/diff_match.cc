#include "pipeline/diff_match.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "pipeline/member_filter.h"

namespace flyweight {
namespace {

constexpr uint64_t kReadBytes = uint64_t{1} << 20;

const IndexExtent& ExtentOf(const ModelSide& side, ExtentId id) {
  return side.index().files[id.file].extents[id.extent];
}

/// The name of a tensor's file; empty where there is one file only, whose name says nothing.
std::string FileKey(const ArchiveIndex& index, size_t file) {
  return index.is_tree ? index.files[file].name : std::string();
}

bool IsWanted(const ArchiveIndex& index, ExtentId id, const std::vector<std::string>& patterns) {
  const std::string& name = index.files[id.file].extents[id.extent].name;
  std::string key = FileKey(index, id.file) + ":" + name;
  return patterns.empty() || std::ranges::any_of(patterns, [&](const std::string& pattern) {
           return MatchesPattern(pattern, name) || MatchesPattern(pattern, key);
         });
}

std::vector<ExtentId> TensorsOf(const ArchiveIndex& index, const std::vector<std::string>& patterns) {
  std::vector<ExtentId> tensors;
  for (size_t file = 0; file < index.files.size(); ++file) {
    for (size_t extent = 0; extent < index.files[file].extents.size(); ++extent) {
      bool is_tensor = index.files[file].extents[extent].is_tensor;
      if (is_tensor && IsWanted(index, {file, extent}, patterns)) tensors.push_back({file, extent});
    }
  }
  return tensors;
}

class Matcher {
 public:
  Matcher(ModelSide& base, ModelSide& variant, const std::vector<std::string>& patterns, ThreadPool& pool)
      : base_(base),
        variant_(variant),
        pool_(pool),
        base_tensors_(TensorsOf(base.index(), patterns)),
        variant_tensors_(TensorsOf(variant.index(), patterns)),
        matches_(variant_tensors_.size(), kNone),
        is_renamed_(variant_tensors_.size(), 0),
        is_taken_(base_tensors_.size(), 0) {}

  Result<std::vector<TensorPair>> Run() {
    MatchBy([](const ModelSide& side, ExtentId id) {
      return std::pair(FileKey(side.index(), id.file), ExtentOf(side, id).name);
    });
    MatchBy([](const ModelSide& side, ExtentId id) { return ExtentOf(side, id).name; });
    FLYWEIGHT_TRY(MatchContents());
    std::vector<TensorPair> pairs;
    for (size_t i = 0; i < variant_tensors_.size(); ++i) {
      TensorPair& pair = pairs.emplace_back();
      pair.variant = variant_tensors_[i];
      if (matches_[i] != kNone) pair.base = base_tensors_[matches_[i]];
      pair.is_renamed = is_renamed_[i] != 0;
    }
    for (size_t i = 0; i < base_tensors_.size(); ++i) {
      if (is_taken_[i] == 0) pairs.push_back({base_tensors_[i], std::nullopt});
    }
    return pairs;
  }

 private:
  static constexpr size_t kNone = SIZE_MAX;

  void Match(size_t variant, size_t base) {
    matches_[variant] = base;
    is_taken_[base] = 1;
  }

  /// Of those that have no counterpart yet, pairs up those of one key; of several with it the first with the first.
  template <typename KeyOf>
  void MatchBy(KeyOf key_of) {
    using Key = decltype(key_of(base_, ExtentId()));
    std::multimap<Key, size_t> waiting;
    for (size_t i = 0; i < base_tensors_.size(); ++i) {
      if (is_taken_[i] == 0) waiting.emplace(key_of(base_, base_tensors_[i]), i);
    }
    for (size_t i = 0; i < variant_tensors_.size(); ++i) {
      if (matches_[i] != kNone) continue;
      auto found = waiting.find(key_of(variant_, variant_tensors_[i]));
      if (found == waiting.end()) continue;
      Match(i, found->second);
      waiting.erase(found);
    }
  }

  /// Tensors under new names: of those that are left, pairs up those of one dtype, shape and content.
  Status MatchContents() {
    using Kind = std::pair<DType, Shape>;
    auto kind_of = [](const IndexExtent& extent) { return Kind(extent.dtype, extent.shape); };
    std::map<Kind, std::vector<size_t>> bases;
    for (size_t i = 0; i < base_tensors_.size(); ++i) {
      if (is_taken_[i] == 0) bases[kind_of(ExtentOf(base_, base_tensors_[i]))].push_back(i);
    }
    std::map<Kind, std::vector<size_t>> both;
    std::vector<size_t> variants;
    for (size_t i = 0; i < variant_tensors_.size(); ++i) {
      if (matches_[i] != kNone) continue;
      auto found = bases.find(kind_of(ExtentOf(variant_, variant_tensors_[i])));
      if (found == bases.end()) continue;
      variants.push_back(i);
      both.insert(*found);
    }
    std::vector<size_t> candidates;
    for (const auto& [kind, numbers] : both) candidates.insert(candidates.end(), numbers.begin(), numbers.end());
    FLYWEIGHT_ASSIGN(std::vector<uint64_t> base_hashes, HashAll(base_, base_tensors_, candidates));
    FLYWEIGHT_ASSIGN(std::vector<uint64_t> variant_hashes, HashAll(variant_, variant_tensors_, variants));
    std::multimap<std::pair<Kind, uint64_t>, size_t> waiting;
    for (size_t i = 0; i < candidates.size(); ++i) {
      waiting.emplace(std::pair(kind_of(ExtentOf(base_, base_tensors_[candidates[i]])), base_hashes[i]), candidates[i]);
    }
    for (size_t i = 0; i < variants.size(); ++i) {
      auto found = waiting.find({kind_of(ExtentOf(variant_, variant_tensors_[variants[i]])), variant_hashes[i]});
      if (found == waiting.end()) continue;
      Match(variants[i], found->second);
      is_renamed_[variants[i]] = 1;
      waiting.erase(found);
    }
    return Status::Ok();
  }

  Result<std::vector<uint64_t>> HashAll(ModelSide& side, const std::vector<ExtentId>& tensors,
                                        const std::vector<size_t>& wanted) {
    std::vector<uint64_t> hashes(wanted.size());
    std::vector<AlignedBuffer> buffers(pool_.thread_count());
    Status status = pool_.ParallelFor(wanted.size(), [&](size_t job, size_t worker) -> Status {
      ExtentId id = tensors[wanted[job]];
      uint64_t size_bytes = ExtentOf(side, id).decoded_bytes;
      Xxh3Stream hash;
      for (uint64_t begin = 0; begin < size_bytes; begin += kReadBytes) {
        auto count = static_cast<size_t>(std::min(kReadBytes, size_bytes - begin));
        buffers[worker].Resize(count);
        MutableByteSpan piece(buffers[worker].data(), count);
        FLYWEIGHT_TRY(side.Read(id.file, id.extent, begin, piece, worker));
        hash.Update(piece);
      }
      hashes[job] = hash.Finish();
      return Status::Ok();
    });
    FLYWEIGHT_TRY(std::move(status));
    return hashes;
  }

  ModelSide& base_;
  ModelSide& variant_;
  ThreadPool& pool_;
  std::vector<ExtentId> base_tensors_;
  std::vector<ExtentId> variant_tensors_;
  std::vector<size_t> matches_;   // of each tensor of B: the number of one of A
  std::vector<char> is_renamed_;  // of each tensor of B
  std::vector<char> is_taken_;    // of each tensor of A
};

bool HasTensors(const IndexFile& file) {
  return std::ranges::any_of(file.extents, [](const IndexExtent& extent) { return extent.is_tensor; });
}

/// Regular files by name; hard links as the file they link to.
std::map<std::string, size_t> FilesByName(const ArchiveIndex& index) {
  std::map<std::string, size_t> files;
  for (size_t number = 0; number < index.files.size(); ++number) {
    const IndexFile& file = index.files[number];
    if (file.entry.kind == EntryKind::kFile) files.emplace(FileKey(index, number), number);
    if (file.entry.kind == EntryKind::kHardLink) files.emplace(FileKey(index, number), file.hard_link_to);
  }
  return files;
}

}  // namespace

Result<std::vector<TensorPair>> MatchTensors(ModelSide& base, ModelSide& variant,
                                             const std::vector<std::string>& patterns, ThreadPool& pool) {
  return Matcher(base, variant, patterns, pool).Run();
}

std::vector<FilePair> MatchFiles(const ArchiveIndex& base, const ArchiveIndex& variant) {
  std::vector<FilePair> pairs;
  if (base.is_tree != variant.is_tree) return pairs;
  std::map<std::string, size_t> bases = FilesByName(base);
  std::map<std::string, size_t> variants = FilesByName(variant);
  for (const auto& [name, number] : variants) {
    const IndexFile& file = variant.files[number];
    auto found = bases.find(name);
    if (found == bases.end()) {
      if (!HasTensors(file)) pairs.push_back({std::nullopt, number});
      continue;
    }
    const IndexFile& other = base.files[found->second];
    if (!HasTensors(file) && !HasTensors(other)) {
      pairs.push_back({found->second, number});
    } else if (HasTensors(file) && HasTensors(other) && file.container_format == other.container_format) {
      pairs.push_back({found->second, number, true});
    }
  }
  for (const auto& [name, number] : bases) {
    if (!variants.contains(name) && !HasTensors(base.files[number])) pairs.push_back({number, std::nullopt});
  }
  return pairs;
}

}  // namespace flyweight
