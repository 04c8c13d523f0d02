#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flyweight/pipeline.h"

namespace flyweight {

/// True of a file name that ends as those of models do (".safetensors", ".gguf", ".pt", ...), whatever its case.
bool HasModelSuffix(std::string_view name);

/// True of "X.fly" and of the first part "X.fly.001" of an archive in parts.
bool HasArchiveSuffix(std::string_view name);

/// Models found below directories.
struct FoundModels {
  struct Directory {
    std::string path;
    bool is_sharded = false;  ///< the model is in several files
  };
  std::vector<std::string> files;      ///< model files and archives, each file once, whatever its names
  std::vector<Directory> directories;  ///< that are one model: files of it, named as shards are or beside a config.json
  bool is_complete = true;             ///< false where there was more than is looked at
};

/// Lists what is below `roots`, in the order of the roots and of names. Links to files count as the files they lead to,
/// as caches of model hubs have them; links to directories are not followed. What cannot be read is told to `notice`.
/// Looks at no more than `entry_max_count` names.
FoundModels FindModels(const std::vector<std::string>& roots, size_t entry_max_count, const NoticeCallback& notice);

/// Model files directly in a directory, by name; archives are none. Empty where it cannot be read.
std::vector<std::string> ModelFilesIn(const std::string& directory);

}  // namespace flyweight
