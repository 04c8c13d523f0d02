#include <algorithm>
#include <filesystem>
#include <map>
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
    // What is left stands on a ring; the base that it names is as good as missing.
    for (size_t i = 0; i < found_.size(); ++i) {
      if (is_placed[i] == 0) Place(i, is_placed, queue);
    }
  }

  void Place(size_t number, std::vector<char>& is_placed, std::vector<size_t>& queue) {
    is_placed[number] = 1;
    queue.push_back(number);
    if (!found_[number].identity_hex.empty()) holders_.emplace(found_[number].identity_hex, number);
  }

  void PlaceChildren(size_t number, std::vector<char>& is_placed, std::vector<size_t>& queue) {
    const std::string identity = found_[number].identity_hex;
    auto holder = holders_.find(identity);
    if (holder == holders_.end() || holder->second != number) return;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (is_placed[i] != 0 || !found_[i].is_patch || found_[i].base_identity_hex != identity) continue;
      parents_[i] = number;
      Place(i, is_placed, queue);
    }
  }

  /// Bases that no archive holds become entries of their own.
  void AddMissingBases(std::vector<char>& is_placed, std::vector<size_t>& queue) {
    std::set<std::string> held;
    for (const LineageEntry& entry : found_) held.insert(entry.identity_hex);
    size_t count = found_.size();
    for (size_t i = 0; i < count; ++i) {
      if (!found_[i].is_patch || !held.insert(found_[i].base_identity_hex).second) continue;
      LineageEntry base;
      base.name = found_[i].base_name;
      base.identity_hex = found_[i].base_identity_hex;
      auto plain = std::ranges::find(plain_, base.name, [](const std::string& path) { return BaseNameOf(path); });
      if (plain != plain_.end()) {
        base.path = *plain;
        base.is_guess = true;
      }
      found_.push_back(std::move(base));
      parents_.push_back(kNone);
      is_placed.push_back(0);
      Place(found_.size() - 1, is_placed, queue);
    }
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
  std::map<std::string, size_t> holders_;  // by identity: what a patch on it stands on
  Lineage lineage_;
};

}  // namespace

Result<Lineage> ReadLineage(const std::vector<std::string>& paths, const LineageOptions& options) {
  return Guarded([&] { return LineageReader(paths, options).Run(); });
}

}  // namespace flyweight
