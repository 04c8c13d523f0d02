#include "archive/index_tree.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "archive/wire.h"

namespace flyweight {
namespace {

Error Corrupt(size_t number, const std::string& what) {
  return {ErrorCode::kCorrupt, 0, "index: entry " + std::to_string(number) + ": " + what};
}

bool IsPlainComponent(std::string_view component) {
  return !component.empty() && component.size() <= wire::kComponentMaxBytes && component != "." && component != ".." &&
         component.find('\0') == std::string_view::npos;
}

/// The directory that holds an entry, "" for those of the root.
std::string_view ParentOf(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view LastComponent(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// Walks the entries in their order, which visits each directory's entries directly behind it, sorted by name.
class TreeCheck {
 public:
  Status Add(const ArchiveIndex& index, size_t number) {
    const IndexFile& file = index.files[number];
    std::string_view path = file.name;
    std::string_view name = LastComponent(path);
    if (path.empty() || !IsPlainComponent(name)) return Corrupt(number, "its name is not the plain name of a file");
    if (path.front() == '/') return Corrupt(number, "its path is absolute");
    std::string_view parent = ParentOf(path);
    while (open_.size() > 1 && open_.back().path != parent) open_.pop_back();
    OpenDirectory& directory = open_.back();
    if (directory.path != parent) return Corrupt(number, "its directory does not stand before it");
    if (directory.has_entries && !(directory.last_name < name)) {
      return Corrupt(number, "it is out of order, or there twice");
    }
    directory.last_name = name;
    directory.has_entries = true;
    if (file.entry.kind == EntryKind::kDirectory) open_.push_back({path, {}, false});
    if (file.entry.kind == EntryKind::kHardLink &&
        (file.hard_link_to >= number || index.files[file.hard_link_to].entry.kind != EntryKind::kFile)) {
      return Corrupt(number, "it is a hard link to something that is not an earlier file");
    }
    return Status::Ok();
  }

 private:
  struct OpenDirectory {
    std::string_view path;
    std::string_view last_name;
    bool has_entries = false;
  };
  std::vector<OpenDirectory> open_{{}};
};

}  // namespace

Status CheckTree(const ArchiveIndex& index) {
  if (index.files.empty() || !index.files.front().name.empty() ||
      index.files.front().entry.kind != EntryKind::kDirectory) {
    return Corrupt(0, "the root of the directory is missing");
  }
  TreeCheck check;
  for (size_t number = 1; number < index.files.size(); ++number) FLYWEIGHT_TRY(check.Add(index, number));
  return Status::Ok();
}

}  // namespace flyweight
