#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/file_io.h"
#include "tree/beneath.h"
#include "tree/entry.h"

// From the file system to entries: walking, opening what was walked, deleting what was walked.

namespace flyweight {

/// The places on disk that a tree's entries stand for: either one directory, which is the root, or several inputs, each
/// under its base name below a root that exists nowhere. Names inside are only ever resolved component by component
/// without following links. May be used by several threads at once.
class TreeRoots {
 public:
  /// One directory becomes the root (a link given as the only input is followed when it leads to one). A single file,
  /// or several inputs, stand under their base names; then links among them stay links, unless they are written with a
  /// slash at the end. "." and ".." go by the name of the directory they are. Errors: kIo (missing), kInvalidArgument
  /// (no input, one that has no name such as "/", two with the same base name: the message names both).
  static Result<TreeRoots> Open(const std::vector<std::string>& inputs);

  /// The path on disk of an entry, for messages.
  std::string DiskPath(std::string_view entry_path) const;

  /// One directory is the root; otherwise the root is made up.
  bool is_single_directory() const { return root_.valid(); }
  /// Base names of the inputs in byte order, where the root is made up.
  std::vector<std::string> names() const;

  /// Opens the directory that holds the entry, as a path handle. Errors: kSourceChanged, kIo, kInvalidArgument (the
  /// root itself).
  Result<HeldName> HoldName(std::string_view entry_path) const;
  /// The root's descriptor; invalid (-1) where the root is made up.
  int root_descriptor() const { return root_.get(); }

 private:
  struct Input {
    std::string name;       // in the tree
    std::string directory;  // on disk, what holds it
    std::string disk_name;  // in that directory
  };
  static Result<Input> MakeInput(const std::string& given);
  Status AddInputs(const std::vector<std::string>& inputs);
  const Input* Find(std::string_view name) const;

  OwnedDescriptor root_;
  std::string root_path_;
  std::vector<Input> inputs_;  // in byte order of their names
  std::unique_ptr<HolderCache> cache_ = std::make_unique<HolderCache>();
};

struct WalkOptions {
  std::vector<FileIdentity> exclude = {};       // left out, with what they hold: the archive being written
  std::vector<std::string> exclude_paths = {};  // the same by path on disk; the last component need not exist
  /// False leaves an entry out, a directory with what it holds. Empty keeps all.
  std::function<bool(std::string_view path, EntryKind kind)> keep = {};
};

/// Lists everything below the roots in the order of PathLess, the root ("") first. Symbolic links are listed, never
/// followed; of several names of one file the first is a kFile and the others are kHardLinks to it. Sockets, pipes and
/// devices are left out with a warning; directories that cannot be read, and names that vanish or cannot be examined,
/// are errors to `notice`, and the others go on (an unreadable directory is listed itself). Takes one descriptor a
/// level, 32 at most; depth is bounded by the length of paths alone. Reading changes no access time where the system
/// allows that (of links it does not). Errors: kSourceChanged (a directory was replaced while it was walked), kIo (the
/// root cannot be read).
Result<std::vector<TreeEntry>> WalkTree(const TreeRoots& roots, const WalkOptions& options, const TreeNotice& notice);

/// Opens the content of a kFile or kHardLink that WalkTree listed, without following links. Errors: kSourceChanged
/// where it is not what was walked any more (identity, size, modification time), kIo. `CheckUnchanged()` of the result
/// looks at the name as the system resolves it; CheckTreeEntry is stricter and has no limit on the length of paths.
Result<std::unique_ptr<FileSource>> OpenTreeFile(const TreeRoots& roots, const TreeEntry& entry);

/// kSourceChanged unless the entry is still what was walked: kind, identity; of files size and modification time; of
/// links the target. Of directories identity only.
Status CheckTreeEntry(const TreeRoots& roots, const TreeEntry& entry);

/// kSourceChanged where a directory that was walked got or lost entries since, as its modification time tells. The root
/// that several inputs are given is made up and never changes.
Status CheckTreeListing(const TreeRoots& roots, const TreeEntry& directory);

struct RemovedTree {
  uint64_t removed_count = 0;
  uint64_t left_count = 0;  // each was reported to the notice
};

/// Deletes what was archived: each entry if CheckTreeEntry holds for it, then directories that became empty, last entry
/// first. What is not deleted is an error to `notice`, with the reason; a directory that holds what is not among the
/// entries is a warning. The system cannot compare and delete in one step: a file exchanged in the instant between is
/// lost. Precondition: `entries` as WalkTree gave them.
RemovedTree RemoveTree(const TreeRoots& roots, std::span<const TreeEntry> entries, const TreeNotice& notice);

}  // namespace flyweight
