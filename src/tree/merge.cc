#include "tree/merge.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tree/beneath.h"
#include "tree/directory_stack.h"

namespace flyweight {
namespace {

enum class Pass { kLook, kMove };

std::string InTarget(const MergeRequest& request, const std::string& directory, const std::string& name) {
  return request.target_path + "/" + (directory.empty() ? name : directory + "/" + name);
}

Error InTheWay(const std::string& path, const std::string& what) {
  return {ErrorCode::kExists, 0, "'" + path + "' " + what};
}

bool IsMissingInKernel(int error_number) {
  return error_number == EINVAL || error_number == ENOSYS || error_number == EOPNOTSUPP || error_number == EPERM;
}

// Moves a name that must not replace anything. False with errno set.
bool MoveToFreeName(int from, int to, const std::string& name, bool is_directory) {
  if (renameat2(from, name.c_str(), to, name.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (!IsMissingInKernel(errno)) return false;
  // A plain rename of a directory replaces empty directories only.
  if (!is_directory && linkat(from, name.c_str(), to, name.c_str(), 0) == 0) {
    return unlinkat(from, name.c_str(), 0) == 0;
  }
  if (!is_directory && !IsMissingInKernel(errno) && errno != EMLINK) return false;
  return renameat(from, name.c_str(), to, name.c_str()) == 0;
}

Status MergeName(const MergeRequest& request, int from, int to, const std::string& path, const std::string& name,
                 Pass pass) {
  struct stat ours, theirs;
  if (!StatName(from, name, ours)) return SystemError(Cannot("restore", path), errno);
  bool is_directory = S_ISDIR(ours.st_mode);
  bool moved = true;
  if (!StatName(to, name, theirs)) {
    if (errno != ENOENT) return SystemError(Cannot("restore", path), errno);
    if (pass == Pass::kMove) moved = MoveToFreeName(from, to, name, is_directory);
  } else if (is_directory != S_ISDIR(theirs.st_mode)) {
    return is_directory ? InTheWay(path, "is in the way of a directory; links there are not followed")
                        : InTheWay(path, "is a directory where a file or a link is to be put");
  } else if (!is_directory && !request.overwrite) {
    return InTheWay(path, "exists already; ask for overwriting to replace it");
  } else if (!is_directory && pass == Pass::kMove) {
    moved = renameat(from, name.c_str(), to, name.c_str()) == 0;
  }
  return moved ? Status::Ok() : SystemError(Cannot("restore", path), errno);
}

Status MergeDirectory(const MergeRequest& request, const std::string& directory, Pass pass) {
  constexpr int kNoLinks = O_DIRECTORY | O_NOFOLLOW;
  OwnedDescriptor from = OpenBeneath(request.from, directory, O_RDONLY | kNoLinks);
  if (!from.valid()) {
    if (pass == Pass::kMove && errno == ENOENT) return Status::Ok();  // went with one that holds it
    return SystemError(Cannot("restore", InTarget(request, "", directory)), errno);
  }
  OwnedDescriptor to = OpenBeneath(request.to, directory, O_PATH | kNoLinks);
  if (!to.valid()) {
    if (pass == Pass::kLook && errno == ENOENT) return Status::Ok();  // will go with one that holds it
    if (errno == ENOTDIR || errno == ELOOP) {
      return InTheWay(InTarget(request, "", directory), "is in the way of a directory; links there are not followed");
    }
    return SystemError(Cannot("restore", InTarget(request, "", directory)), errno);
  }
  NameList names;
  if (!names.Read(from.get())) return SystemError(Cannot("restore", InTarget(request, "", directory)), errno);
  while (!names.AtEnd()) {
    std::string name = names.Take();
    FLYWEIGHT_TRY(MergeName(request, from.get(), to.get(), InTarget(request, directory, name), name, pass));
  }
  return Status::Ok();
}

}  // namespace

Status MergeTree(const MergeRequest& request) {
  for (Pass pass : {Pass::kLook, Pass::kMove}) {
    FLYWEIGHT_TRY(MergeDirectory(request, "", pass));
    for (const RestoredDirectory& directory : request.directories) {
      FLYWEIGHT_TRY(MergeDirectory(request, directory.path, pass));
    }
  }
  return Status::Ok();
}

}  // namespace flyweight
