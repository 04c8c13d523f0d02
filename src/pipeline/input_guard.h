#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "flyweight/result.h"

namespace flyweight {

/// Keeps what a run reads from being overwritten by what it writes, whatever names, links or options say. Files and
/// directories are told apart by device and inode.
class InputGuard {
 public:
  /// `inputs` are paths of files, directories (with all files in them) and archives, in parts or not, or of what lies
  /// in one ("X.fly/checkpoint-10"). What cannot be found is passed by.
  explicit InputGuard(const std::vector<std::string>& inputs);

  /// For an output that would be part of a directory's model. Errors: kInvalidArgument where `target` is an input, a
  /// file of one, or lies in one.
  Status Check(const std::string& target) const;

  /// For an archive, which may lie beside the files of its base. Errors: kInvalidArgument where `target` is an input or
  /// a file of one.
  Status CheckReplaced(const std::string& target) const;

 private:
  using FileId = std::pair<uint64_t, uint64_t>;  // device and inode

  void Add(const std::string& path);
  void AddParts(const std::string& path);
  void AddFilesIn(const std::string& directory);

  std::map<FileId, std::string> inputs_;       // files and directories, and the input that each belongs to
  std::map<FileId, std::string> directories_;  // inputs that are directories
};

}  // namespace flyweight
