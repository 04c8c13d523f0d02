#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>

#include "archive/reader.h"
#include "delta/identity.h"
#include "flyweight/lineage.h"
#include "pipeline/endpoint.h"
#include "pipeline/extent_items.h"
#include "pipeline/guard.h"
#include "pipeline/model_walk.h"
#include "pipeline/pack_input.h"
#include "pipeline/sequence_bases.h"

namespace flyweight {
namespace {

constexpr size_t kEntryMaxCount = 1000000;

Result<LineageEntry> ReadEntry(const std::string& path) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(path, std::string(kStreamPath)));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  LineageEntry entry;
  entry.path = path;
  entry.name = BaseNameOf(path);
  entry.is_archive = true;
  entry.archive_bytes = reader.archive_bytes();
  entry.file_bytes = DecodedBytes(reader.index(), AllFiles(reader.index()));
  if (std::optional<Digest> identity = IdentityOf(reader.index())) entry.identity_hex = ToHex(*identity);
  const BaseTable* base = reader.base_table();
  if (base == nullptr) return entry;
  entry.is_patch = true;
  entry.identity_hex = ToHex(base->result_identity);
  entry.base_identity_hex = ToHex(base->identity);
  entry.base_name = base->name;
  return entry;
}

class LineageReader {
 public:
  LineageReader(const std::vector<std::string>& paths, const LineageOptions& options)
      : paths_(paths), options_(options) {}

  Result<Lineage> Run() {
    FLYWEIGHT_TRY(ReadAll());
    std::ranges::sort(found_, NaturalLess, &LineageEntry::path);
    Connect();
    Arrange();
    return std::move(lineage_);
  }

 private:
  Status ReadAll() {
    std::vector<std::string> directories;
    std::set<std::string> seen;
    for (const std::string& path : paths_) {
      if (IsDirectory(path)) {
        directories.push_back(path);
        continue;
      }
      Result<LineageEntry> entry = ReadEntry(path);
      if (!entry.ok()) return WithContext(entry.take_error(), path);
      if (seen.insert(RealPath(path)).second) found_.push_back(std::move(entry).value());
    }
    FoundModels models = FindModels(directories, kEntryMaxCount, options_.notice);
    lineage_.is_complete = models.is_complete;
    for (std::string& path : models.files) {
      if (!HasArchiveSuffix(path)) {
        plain_.push_back(std::move(path));
        continue;
      }
      if (!seen.insert(RealPath(path)).second) continue;
      Result<LineageEntry> entry = Guarded([&] { return ReadEntry(path); });
      if (entry.ok()) {
        found_.push_back(std::move(entry).value());
      } else {
        ++lineage_.unreadable_count;
        lineage_.unreadable_paths.push_back(path);
      }
    }
    for (FoundModels::Directory& directory : models.directories) plain_.push_back(std::move(directory.path));
    return Status::Ok();
  }

  static std::string RealPath(const std::string& path) {
    std::error_code error;
    std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
    return error ? path : real.string();
  }

  /// Gives each patch what it stands on, the nearest to a base first, so that a ring of patches is never gone round.
  void Connect() {
    parents_.assign(found_.size(), kNone);
    std::vector<char> is_placed(found_.size());
    std::vector<size_t> queue;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (!found_[i].is_patch) Place(i, is_placed, queue);
    }
    AddMissingBases(is_placed, queue);
    for (size_t at = 0; at < queue.size(); ++at) PlaceChildren(queue[at], is_placed, queue);
    while (std::optional<size_t> entry = EntryOfRing(is_placed)) {
      size_t at = queue.size();
      AddBase(*entry, is_placed, queue);
      for (; at < queue.size(); ++at) PlaceChildren(queue[at], is_placed, queue);
    }
  }

  /// What is left are patches on each other in a ring, and patches on these: one whose base is no archive by its name.
  std::optional<size_t> EntryOfRing(const std::vector<char>& is_placed) const {
    auto has_name = [&](const std::string& name) {
      return std::ranges::any_of(found_, [&](const LineageEntry& entry) { return entry.name == name; });
    };
    std::optional<std::pair<int, size_t>> best;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (is_placed[i] != 0) continue;
      int rank = PlainOfName(found_[i].base_name) != plain_.end() ? 0 : has_name(found_[i].base_name) ? 2 : 1;
      if (!best.has_value() || rank < best->first) best = {rank, i};
    }
    return best.has_value() ? std::optional<size_t>(best->second) : std::nullopt;
  }

  std::vector<std::string>::const_iterator PlainOfName(const std::string& name) const {
    return std::ranges::find(plain_, name, [](const std::string& path) { return BaseNameOf(path); });
  }

  void Place(size_t number, std::vector<char>& is_placed, std::vector<size_t>& queue) {
    is_placed[number] = 1;
    queue.push_back(number);
  }

  void PlaceChildren(size_t number, std::vector<char>& is_placed, std::vector<size_t>& queue) {
    const std::string identity = found_[number].identity_hex;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (!found_[i].is_patch || found_[i].base_identity_hex != identity) continue;
      bool is_new = is_placed[i] == 0;
      if (!is_new && !IsBetterParent(i, number)) continue;
      parents_[i] = number;
      if (is_new) Place(i, is_placed, queue);
    }
  }

  /// Of several with one identity the one that a patch names, where that makes no ring.
  bool IsBetterParent(size_t number, size_t parent) const {
    const std::string& name = found_[number].base_name;
    if (parents_[number] == kNone || found_[parents_[number]].name == name || found_[parent].name != name) return false;
    for (size_t link = parent; link != kNone; link = parents_[link]) {
      if (link == number) return false;
    }
    return true;
  }

  /// Bases that no archive holds become entries of their own.
  void AddMissingBases(std::vector<char>& is_placed, std::vector<size_t>& queue) {
    std::set<std::string> held;
    for (const LineageEntry& entry : found_) held.insert(entry.identity_hex);
    size_t count = found_.size();
    for (size_t i = 0; i < count; ++i) {
      if (found_[i].is_patch && held.insert(found_[i].base_identity_hex).second) AddBase(i, is_placed, queue);
    }
  }

  /// The base of a patch as an entry of its own.
  void AddBase(size_t patch, std::vector<char>& is_placed, std::vector<size_t>& queue) {
    LineageEntry base;
    base.name = found_[patch].base_name;
    base.identity_hex = found_[patch].base_identity_hex;
    if (auto plain = PlainOfName(base.name); plain != plain_.end()) {
      base.path = *plain;
      base.is_guess = true;
    }
    found_.push_back(std::move(base));
    parents_.push_back(kNone);
    is_placed.push_back(0);
    Place(found_.size() - 1, is_placed, queue);
  }

  /// Each entry, then all that stands on it.
  void Arrange() {
    std::vector<std::vector<size_t>> children(found_.size());
    std::vector<size_t> waiting;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (parents_[i] != kNone) children[parents_[i]].push_back(i);
    }
    std::vector<size_t> roots;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (parents_[i] == kNone) roots.push_back(i);
    }
    std::vector<size_t> new_numbers(found_.size());
    for (size_t root : roots) {
      waiting.push_back(root);
      while (!waiting.empty()) {
        size_t number = waiting.back();
        waiting.pop_back();
        new_numbers[number] = lineage_.entries.size();
        LineageEntry& entry = lineage_.entries.emplace_back(std::move(found_[number]));
        if (parents_[number] != kNone) {
          entry.parent = new_numbers[parents_[number]];
          entry.depth = lineage_.entries[*entry.parent].depth + 1;
        }
        waiting.insert(waiting.end(), children[number].rbegin(), children[number].rend());
      }
    }
  }

  static constexpr size_t kNone = SIZE_MAX;
  const std::vector<std::string>& paths_;
  const LineageOptions& options_;
  std::vector<LineageEntry> found_;
  std::vector<std::string> plain_;  // model files, and directories that are models
  std::vector<size_t> parents_;
  Lineage lineage_;
};

}  // namespace

Result<Lineage> ReadLineage(const std::vector<std::string>& paths, const LineageOptions& options) {
  return Guarded([&] { return LineageReader(paths, options).Run(); });
}

}  // namespace flyweight
