#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "tree/walk.h"

// What was walked, met again: compared, opened, deleted.

namespace flyweight {
namespace {

Error Changed(const std::string& disk_path, const std::string& how) {
  return {ErrorCode::kSourceChanged, 0, "'" + disk_path + "' " + how + " since it was listed"};
}

// Whether `status` is of the entry: kind, identity, and of files size and modification time.
Status CompareStatus(const struct stat& status, const TreeEntry& entry, const std::string& disk_path) {
  EntryKind walked = entry.stat.kind == EntryKind::kHardLink ? EntryKind::kFile : entry.stat.kind;
  EntryStat now = EntryStatOf(status);
  bool is_odd = now.kind == EntryKind::kFile && !S_ISREG(status.st_mode);
  if (is_odd || now.kind != walked || IdentityOf(status) != FileIdentity{entry.device, entry.inode}) {
    return Changed(disk_path, "was replaced by another file");
  }
  if (walked == EntryKind::kDirectory) return Status::Ok();
  bool is_same_size = walked != EntryKind::kFile || static_cast<uint64_t>(status.st_size) == entry.size_bytes;
  if (!is_same_size || now.modified != entry.stat.modified) return Changed(disk_path, "was written to");
  return Status::Ok();
}

// CheckTreeEntry with the directory that was opened for it.
Status CompareName(const HeldName& held, const TreeEntry& entry, const std::string& disk_path) {
  struct stat status;
  if (!StatName(held.directory(), held.name, status)) {
    if (errno == ENOENT) return Changed(disk_path, "was moved or deleted");
    return SystemError(Cannot("examine", disk_path), errno);
  }
  FLYWEIGHT_TRY(CompareStatus(status, entry, disk_path));
  if (entry.stat.kind != EntryKind::kSymlink) return Status::Ok();
  std::string target;
  if (!ReadLink(held.directory(), held.name, target)) return SystemError(Cannot("examine", disk_path), errno);
  return target == entry.link_target ? Status::Ok() : Changed(disk_path, "was made to lead elsewhere");
}

// Deletes one entry. False in `removed` where its directory is not empty.
Status RemoveEntry(const TreeRoots& roots, const TreeEntry& entry, bool* removed) {
  std::string disk_path = roots.DiskPath(entry.path);
  bool is_directory = entry.stat.kind == EntryKind::kDirectory;
  if (entry.path.empty()) {
    // Through its name, since a directory cannot be deleted through itself; compared right before.
    struct stat status;
    if (fstatat(AT_FDCWD, disk_path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return SystemError(Cannot("delete", disk_path), errno);
    }
    FLYWEIGHT_TRY(CompareStatus(status, entry, disk_path));
    *removed = unlinkat(AT_FDCWD, disk_path.c_str(), AT_REMOVEDIR) == 0;
  } else {
    FLYWEIGHT_ASSIGN(HeldName held, roots.HoldName(entry.path));
    FLYWEIGHT_TRY(CompareName(held, entry, disk_path));
    *removed = unlinkat(held.directory(), held.name.c_str(), is_directory ? AT_REMOVEDIR : 0) == 0;
  }
  if (*removed || (is_directory && (errno == ENOTEMPTY || errno == EEXIST))) return Status::Ok();
  return SystemError(Cannot("delete", disk_path), errno);
}

}  // namespace

Status CheckTreeListing(const TreeRoots& roots, const TreeEntry& directory) {
  struct stat status;
  std::string disk_path = roots.DiskPath(directory.path);
  if (directory.path.empty()) {
    if (!roots.is_single_directory()) return Status::Ok();
    if (fstat(roots.root_descriptor(), &status) != 0) return SystemError(Cannot("examine", disk_path), errno);
  } else {
    FLYWEIGHT_ASSIGN(HeldName held, roots.HoldName(directory.path));
    if (!StatName(held.directory(), held.name, status)) return Changed(disk_path, "was moved or deleted");
    FLYWEIGHT_TRY(CompareStatus(status, directory, disk_path));
  }
  bool is_same = EntryStatOf(status).modified == directory.stat.modified;
  return is_same ? Status::Ok() : Changed(disk_path, "got or lost entries");
}

Status CheckTreeEntry(const TreeRoots& roots, const TreeEntry& entry) {
  if (entry.path.empty()) return Status::Ok();  // held open, or made up
  FLYWEIGHT_ASSIGN(HeldName held, roots.HoldName(entry.path));
  return CompareName(held, entry, roots.DiskPath(entry.path));
}

Result<std::unique_ptr<FileSource>> OpenTreeFile(const TreeRoots& roots, const TreeEntry& entry) {
  std::string disk_path = roots.DiskPath(entry.path);
  if (entry.stat.kind != EntryKind::kFile && entry.stat.kind != EntryKind::kHardLink) {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + disk_path + "' is not a file"};
  }
  FLYWEIGHT_ASSIGN(HeldName held, roots.HoldName(entry.path));
  // Before it is opened, since opening a device can have effects; and after, since it may have been exchanged.
  FLYWEIGHT_TRY(CompareName(held, entry, disk_path));
  OwnedDescriptor descriptor = OpenQuietly(held.directory(), held.name, 0);
  if (!descriptor.valid()) {
    if (errno == ENOENT || errno == ELOOP) return Changed(disk_path, "was moved or deleted");
    return SystemError(Cannot("open", disk_path), errno);
  }
  struct stat status;
  if (fstat(descriptor.get(), &status) != 0) return SystemError(Cannot("examine", disk_path), errno);
  FLYWEIGHT_TRY(CompareStatus(status, entry, disk_path));
  return FileSource::Adopt(descriptor.Release(), disk_path);
}

RemovedTree RemoveTree(const TreeRoots& roots, std::span<const TreeEntry> entries, const TreeNotice& notice) {
  RemovedTree result;
  for (size_t i = entries.size(); i-- > 0;) {
    const TreeEntry& entry = entries[i];
    bool is_made_up = entry.path.empty() && !roots.is_single_directory();
    if (is_made_up) continue;
    bool removed = false;
    Status status = RemoveEntry(roots, entry, &removed);
    ++(removed ? result.removed_count : result.left_count);
    if (removed || !notice) continue;
    if (!status.ok()) {
      notice(TreeSeverity::kError, status.error());
    } else {
      notice(TreeSeverity::kWarning,
             {ErrorCode::kExists, 0,
              "the directory '" + roots.DiskPath(entry.path) + "' is kept: it holds what is not in the archive"});
    }
  }
  return result;
}

}  // namespace flyweight
