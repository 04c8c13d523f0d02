#include "pipeline/sequence_bases.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "pipeline/extent_items.h"
#include "pipeline/scan_sample.h"

namespace flyweight {
namespace {

constexpr uint32_t kNoVersion = UINT32_MAX;

bool IsDigit(char letter) { return letter >= '0' && letter <= '9'; }

/// Takes a run of digits off the front, without leading zeros.
std::string_view TakeNumber(std::string_view& text) {
  size_t end = 0;
  while (end < text.size() && IsDigit(text[end])) ++end;
  std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  while (number.size() > 1 && number.front() == '0') number.remove_prefix(1);
  return number;
}

/// The first component of a path, which is not empty.
std::string_view TopOf(std::string_view path) { return path.substr(0, path.find('/')); }

/// The path below the first component; empty where there is none.
std::string_view BelowTop(std::string_view path) {
  size_t slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
}

/// Patches on other extents of the same archive.
class SequenceBases final : public PatchBases {
 public:
  explicit SequenceBases(const ContentSet& contents) : contents_(contents) {}

  void Add(uint64_t number, const ExtentItem& base, const IndexExtent& extent) {
    bases_.emplace(number, Base{base.file, base.offset, extent.decoded_bytes, extent.dtype});
  }

  Result<PatchBaseContent> Open(uint64_t number) const override {
    const Base& base = bases_.at(number);
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents_.Open(base.file));
    std::shared_ptr<const ByteSource> source(content, &content->source());
    return PatchBaseContent{std::move(source), base.offset, base.size_bytes, base.dtype};
  }

  Status Finish(ArchiveIndex& index) override {
    SetPatchDepths(index);
    return Status::Ok();
  }

 private:
  struct Base {
    size_t file = 0;
    uint64_t offset = 0;
    uint64_t size_bytes = 0;
    DType dtype = DType::kOpaque;
  };
  mutable ContentCache contents_;
  std::unordered_map<uint64_t, Base> bases_;  // by number of the extent that is patched
};

class VersionMatcher {
 public:
  VersionMatcher(ArchiveIndex& index, uint32_t key_every)
      : index_(index),
        key_every_(key_every),
        versions_(FindVersions(index)),
        places_(ItemsOf(index, AllFiles(index))),
        first_version_(places_.size(), kNoVersion),
        depths_(places_.size(), 0) {}

  Status Run(SequenceBases& bases) {
    if (versions_.empty()) {
      return Error{ErrorCode::kInvalidArgument, 0,
                   "it holds no versions of a model: no two files or directories in it whose names differ in numbers "
                   "only, such as checkpoint-10 and checkpoint-20"};
    }
    ListVersions();
    for (uint32_t version = 1; version < versions_.size(); ++version) MatchVersion(version, bases);
    return Status::Ok();
  }

 private:
  IndexExtent& ExtentOf(uint64_t number) { return index_.files[places_[number].file].extents[places_[number].extent]; }

  /// The extent that holds the bytes.
  uint64_t HolderOf(uint64_t number) {
    const IndexExtent& extent = ExtentOf(number);
    return extent.place == PlaceKind::kSame ? extent.same_as : number;
  }

  /// Which tensors each version has, and for each holder of bytes the first version that has these. A base is then
  /// always of an earlier version than what stands on it, so that no patch can come to stand on itself.
  void ListVersions() {
    std::vector<uint32_t> version_of_file(index_.files.size(), kNoVersion);
    for (uint32_t version = 0; version < versions_.size(); ++version) {
      for (size_t file : versions_[version].files) version_of_file[file] = version;
    }
    tensors_.resize(versions_.size());
    for (uint64_t number = 0; number < places_.size(); ++number) {
      uint32_t version = version_of_file[places_[number].file];
      if (version == kNoVersion || !ExtentOf(number).is_tensor) continue;
      tensors_[version].push_back(number);
      uint32_t& first = first_version_[HolderOf(number)];
      first = std::min(first, version);
    }
  }

  void MatchVersion(uint32_t version, SequenceBases& bases) {
    using Path = std::pair<std::string_view, std::string_view>;
    std::map<Path, uint64_t> by_path;
    std::map<std::string_view, uint64_t> by_name;
    for (uint64_t number : tensors_[version - 1]) {
      const IndexExtent& extent = ExtentOf(number);
      by_path.emplace(Path(BelowTop(index_.files[places_[number].file].name), extent.name), number);
      by_name.emplace(extent.name, number);
    }
    for (uint64_t number : tensors_[version]) {
      uint64_t holder = HolderOf(number);
      if (first_version_[holder] != version || ExtentOf(holder).place != PlaceKind::kRecord) continue;
      const std::string& name = ExtentOf(number).name;
      auto same_path = by_path.find({BelowTop(index_.files[places_[number].file].name), name});
      auto same_name = by_name.find(name);
      if (same_path != by_path.end()) {
        Stand(holder, HolderOf(same_path->second), bases);
      } else if (same_name != by_name.end()) {
        Stand(holder, HolderOf(same_name->second), bases);
      }
    }
  }

  void Stand(uint64_t number, uint64_t base_number, SequenceBases& bases) {
    IndexExtent& extent = ExtentOf(number);
    const IndexExtent& base = ExtentOf(base_number);
    bool has_bytes = base.place == PlaceKind::kRecord || base.place == PlaceKind::kPatched;
    bool has_shape =
        extent.shape.size() == base.shape.size() &&
        (extent.shape.empty() || std::equal(extent.shape.begin() + 1, extent.shape.end(), base.shape.begin() + 1));
    if (!has_bytes || !has_shape || depths_[base_number] + 1 >= key_every_) return;
    depths_[number] = depths_[base_number] + 1;
    bases.Add(number, places_[base_number], base);
    extent.place = PlaceKind::kPatched;
    extent.base_is_outside = false;
    extent.base_number = base_number;
  }

  ArchiveIndex& index_;
  uint32_t key_every_;
  std::vector<TreeVersion> versions_;
  std::vector<ExtentItem> places_;
  std::vector<std::vector<uint64_t>> tensors_;  // numbers of extents, by version
  std::vector<uint32_t> first_version_;         // of extents that hold bytes
  std::vector<uint32_t> depths_;                // by extent; how many patches there are at most
};

}  // namespace

bool NaturalLess(std::string_view a, std::string_view b) {
  std::string_view left = a;
  std::string_view right = b;
  while (!left.empty() && !right.empty()) {
    if (IsDigit(left.front()) && IsDigit(right.front())) {
      std::string_view x = TakeNumber(left);
      std::string_view y = TakeNumber(right);
      if (x != y) return std::pair(x.size(), x) < std::pair(y.size(), y);
      continue;
    }
    if (left.front() != right.front()) return left.front() < right.front();
    left.remove_prefix(1);
    right.remove_prefix(1);
  }
  if (left.empty() != right.empty()) return left.empty();
  return a < b;  // "07" and "7"
}

std::vector<TreeVersion> FindVersions(const ArchiveIndex& index) {
  if (!index.is_tree) return {};
  struct Family {
    std::map<std::string_view, TreeVersion> members;
    uint64_t size_bytes = 0;
  };
  std::map<std::string, Family> families;
  for (size_t file = 0; file < index.files.size(); ++file) {
    const IndexFile& entry = index.files[file];
    if (entry.name.empty() || entry.entry.kind != EntryKind::kFile) continue;
    std::string_view top = TopOf(entry.name);
    std::string kind = WithoutNumbers(top);
    if (kind == top) continue;
    // A directory and a file of one kind of name are no versions of each other.
    Family& family = families[kind + (top.size() == entry.name.size() ? "" : "/")];
    TreeVersion& version = family.members[top];
    version.name = top;
    version.files.push_back(file);
    family.size_bytes += entry.file_bytes;
  }
  const Family* chosen = nullptr;
  for (const auto& [kind, family] : families) {
    if (family.members.size() < 2) continue;
    auto rank = [](const Family& one) { return std::pair(one.members.size(), one.size_bytes); };
    if (chosen == nullptr || rank(family) > rank(*chosen)) chosen = &family;
  }
  std::vector<TreeVersion> versions;
  if (chosen == nullptr) return versions;
  for (const auto& [name, version] : chosen->members) versions.push_back(version);
  std::ranges::sort(versions, NaturalLess, &TreeVersion::name);
  return versions;
}

Result<std::unique_ptr<PatchBases>> MatchVersions(const ContentSet& contents, ArchiveIndex& index, uint32_t key_every) {
  auto bases = std::make_unique<SequenceBases>(contents);
  FLYWEIGHT_TRY(VersionMatcher(index, key_every).Run(*bases));
  return std::unique_ptr<PatchBases>(std::move(bases));
}

}  // namespace flyweight
