#include "pipeline/model_walk.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>

namespace flyweight {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 10> kModelSuffixes = {".safetensors", ".gguf", ".bin", ".pt",   ".pth",
                                                             ".ckpt",        ".npz",  ".npy", ".onnx", ".h5"};
constexpr size_t kDepthMax = 32;

/// "model-00001-of-00003.safetensors".
bool IsShardName(std::string_view name) { return name.find("-of-") != std::string_view::npos; }

bool EndsWith(std::string_view name, std::string_view suffix) {
  if (name.size() <= suffix.size()) return false;
  return std::ranges::equal(name.substr(name.size() - suffix.size()), suffix, [](char letter, char wanted) {
    return (letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter) == wanted;
  });
}

/// Names in a directory, sorted; an error in `error`.
std::vector<std::string> NamesIn(const std::string& directory, size_t max_count, std::error_code& error) {
  std::vector<std::string> names;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator() && names.size() <= max_count; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

class Walker {
 public:
  Walker(size_t entry_max_count, const NoticeCallback& notice) : left_(entry_max_count), notice_(notice) {}

  FoundModels Run(const std::vector<std::string>& roots) {
    std::vector<std::pair<std::string, size_t>> waiting;
    for (auto root = roots.rbegin(); root != roots.rend(); ++root) waiting.emplace_back(*root, 0);
    while (!waiting.empty()) {
      auto [path, depth] = std::move(waiting.back());
      waiting.pop_back();
      Visit(path, depth, waiting);
    }
    return std::move(found_);
  }

 private:
  void Visit(const std::string& path, size_t depth, std::vector<std::pair<std::string, size_t>>& waiting) {
    std::error_code error;
    std::vector<std::string> names = NamesIn(path, left_, error);
    if (error && notice_) notice_({path, "cannot read the directory '" + path + "': " + error.message(), true});
    std::vector<std::pair<std::string, size_t>> below;
    bool has_model = false;
    bool is_sharded = false;
    bool has_config = std::ranges::binary_search(names, "config.json");
    for (const std::string& name : names) {
      if (left_ == 0) {
        found_.is_complete = false;
        break;
      }
      --left_;
      std::string full = path.ends_with('/') ? path + name : path + "/" + name;
      struct stat status;
      if (lstat(full.c_str(), &status) != 0) continue;
      if (S_ISDIR(status.st_mode) && depth < kDepthMax) below.emplace_back(full, depth + 1);
      if (!HasModelSuffix(name) && !HasArchiveSuffix(name)) continue;
      if (stat(full.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
      has_model = has_model || HasModelSuffix(name);
      is_sharded = is_sharded || IsShardName(name);
      if (seen_.emplace(status.st_dev, status.st_ino).second) found_.files.push_back(full);
    }
    if (has_model && (is_sharded || has_config)) found_.directories.push_back({path, is_sharded});
    for (auto directory = below.rbegin(); directory != below.rend(); ++directory) {
      waiting.push_back(std::move(*directory));
    }
  }

  size_t left_;
  const NoticeCallback& notice_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  FoundModels found_;
};

}  // namespace

bool HasModelSuffix(std::string_view name) {
  return std::ranges::any_of(kModelSuffixes, [&](std::string_view suffix) { return EndsWith(name, suffix); });
}

bool HasArchiveSuffix(std::string_view name) { return EndsWith(name, ".fly") || EndsWith(name, ".fly.001"); }

FoundModels FindModels(const std::vector<std::string>& roots, size_t entry_max_count, const NoticeCallback& notice) {
  return Walker(entry_max_count, notice).Run(roots);
}

std::vector<std::string> ModelFilesIn(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> files;
  for (const std::string& name : NamesIn(directory, size_t{1} << 16, error)) {
    struct stat status;
    std::string full = directory + "/" + name;
    if (HasModelSuffix(name) && stat(full.c_str(), &status) == 0 && S_ISREG(status.st_mode)) files.push_back(full);
  }
  return files;
}

}  // namespace flyweight
