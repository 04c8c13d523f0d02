#pragma once

#include <span>
#include <string>

#include "tree/entry.h"

namespace flyweight {

/// A directory that was added to a tree, and what it shall look like in the end.
struct RestoredDirectory {
  std::string path;
  EntryStat stat;
};

struct MergeRequest {
  int from = -1;                                   // the tree, complete
  int to = -1;                                     // the directory it is merged into
  std::span<const RestoredDirectory> directories;  // of the tree but its root, parents before children
  bool overwrite = false;                          // entries that are no directories replace others of their kind
  std::string target_path;                         // for messages
};

/// Moves what is in one tree into another on the same file system, each entry by a rename: a directory that is new goes
/// whole, one that is there already is merged, other entries replace what has their name. Links in the target are
/// replaced and never followed. Everything is looked at before anything is moved: kExists where a directory and
/// something else meet, or names meet and !overwrite. Errors: kIo (what was moved until then stays).
Status MergeTree(const MergeRequest& request);

}  // namespace flyweight
