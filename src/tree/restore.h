#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/file_io.h"
#include "tree/beneath.h"
#include "tree/entry.h"
#include "tree/hidden_directory.h"
#include "tree/merge.h"
#include "tree/notices.h"

namespace flyweight {

class TreeRestorer;

/// A file of the tree while it is written: readable by its owner only, complete or gone.
class TreeFile {
 public:
  /// Without Close or Discard the file stays incomplete and TreeRestorer::Finish refuses.
  ~TreeFile() = default;
  TreeFile(const TreeFile&) = delete;
  TreeFile& operator=(const TreeFile&) = delete;

  /// Writes at any offset; safe from several threads. Errors: kIo.
  Status WriteAt(uint64_t offset, ByteSpan bytes);
  /// Reserves disk space where the file system can, so that a full disk is an error now. Errors: kIo (ENOSPC).
  Status Reserve(uint64_t size_bytes);
  /// A source over what was written. Precondition: this TreeFile outlives it and is not closed.
  std::unique_ptr<ByteSource> ReadBack() const;
  /// After the last write: sets permission bits and times, flushes, closes. Errors: kInternal (fewer or more bytes than
  /// the entry has; called twice), kIo.
  Status Close();
  /// Deletes it again, so that the tree can be finished without it. Hard links to it stay. Errors: kIo.
  Status Discard();

 private:
  friend class TreeRestorer;
  TreeFile(TreeRestorer& restorer, OwnedDescriptor descriptor, const TreeEntry& entry);

  TreeRestorer& restorer_;
  OwnedDescriptor descriptor_;
  std::string path_;  // for messages
  std::string entry_path_;
  EntryStat stat_;
  uint64_t size_bytes_;
  std::atomic<bool> reserved_ = false;
};

struct RestoreOptions {
  bool overwrite = false;  // into a directory that holds something: merge, files replace files
  TreeNotice notice = {};  // may be empty
};

/// Builds a tree of files that appears under its name complete or not at all. It grows in a hidden directory (mode
/// 0700,
/// ".NAME.flyweight-tree") beside the target, or inside it where it is a mount point or nothing may be written beside
/// it, and takes its name by one rename. Where the target is a directory that holds something, and `overwrite` is set,
/// the tree is merged into it at the end, entry by entry, each by a rename: directories merge, other entries replace
/// what is not a directory, what the tree does not name stays; links that stand in the target are replaced, never
/// followed.
///
/// Entries come from hostile archives: paths are checked, opened component by component beneath the hidden directory
/// and never through a link; a parent must have been added before as a directory. Methods that add may be called by
/// several threads at once.
///
/// Destroyed before Finish, it removes what it made. A signal or a crash leaves the hidden directory (removing a tree
/// is more than a signal handler may do); the next run on the same target removes it. A run that is alive holds a lock
/// on it. File systems that know no links, times or permissions get the content, and the notice a warning.
class TreeRestorer {
 public:
  /// Errors: kExists (the target holds something and !overwrite, or is a link, or another run restores it now),
  /// kInvalidArgument (it is not a directory, or has no name), kIo.
  static Result<std::unique_ptr<TreeRestorer>> Create(const std::string& target_path, RestoreOptions options);
  ~TreeRestorer();
  TreeRestorer(const TreeRestorer&) = delete;
  TreeRestorer& operator=(const TreeRestorer&) = delete;

  /// The root ("") gives the target's own bits and times; it exists already and may be added once at any moment.
  /// Without it the target stays open to its owner only. A target that held something keeps its own. Errors of all that
  /// add: kCorrupt (path, link or attributes are not what an archive may hold; the name was added before; the parent is
  /// no directory of this tree), kIo.
  Status AddDirectory(const TreeEntry& entry);
  Status AddSymlink(const TreeEntry& entry);
  /// `earlier_path` is a file of this tree that was opened before, perhaps not yet closed. kCorrupt where it is not.
  Status AddHardLink(const TreeEntry& entry, const std::string& earlier_path);
  /// Precondition: entry.size_bytes is the size that the file will have. The restorer outlives the file.
  Result<std::unique_ptr<TreeFile>> OpenFile(const TreeEntry& entry);

  /// Sets attributes of directories, makes everything durable, puts the tree under its name. Precondition: no other
  /// thread uses the restorer. Errors: kInternal (a file was not closed, called twice), kExists (the target changed),
  /// kIo.
  Status Finish();
  const std::string& target_path() const { return target_path_; }

 private:
  friend class TreeFile;
  struct PendingCopy {
    std::string from, to;
  };
  explicit TreeRestorer(RestoreOptions options) : overwrite_(options.overwrite), notices_(std::move(options.notice)) {}

  Status FindTarget(const std::string& target_path);
  Status LookAtTarget();
  Status MakeHidden();
  int holder() const { return inside_target_ ? target_.get() : beside_.get(); }

  Result<HeldName> HoldNew(const TreeEntry& entry, EntryKind kind);
  Error CannotAdd(const TreeEntry& entry, int error_number) const;
  Status LinkOrCopy(const TreeEntry& entry, const HeldName& held, const std::string& earlier_path);
  Status CloseFile(TreeFile& file);
  Status DiscardFile(TreeFile& file);

  Status CopyPending();
  Status ApplyToDirectories(int root, bool with_root);
  Status SyncDirectories(int root);
  Status TakeName();
  Status Merge();

  bool overwrite_;
  Notices notices_;
  std::string target_path_;
  std::string target_name_;
  OwnedDescriptor beside_;  // the directory that holds the target
  OwnedDescriptor target_;  // the target itself, where it was there before
  bool target_is_mount_ = false;
  bool target_has_names_ = false;
  bool inside_target_ = false;  // the hidden directory is in the target, not beside it
  bool finished_ = false;
  HiddenDirectory hidden_;
  HolderCache cache_;

  std::mutex mutex_;  // of what follows
  std::vector<RestoredDirectory> directories_;
  std::vector<PendingCopy> pending_copies_;
  EntryStat root_stat_;
  bool root_added_ = false;

  std::atomic<uint64_t> unfinished_count_ = 0;
  std::atomic<uint64_t> synced_count_ = 0;
  std::atomic<uint64_t> unsynced_count_ = 0;
};

}  // namespace flyweight
