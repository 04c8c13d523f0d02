#include "cli/inputs.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "cli/commands/output.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 11> kModelSuffixes = {
    ".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".npz", ".npy", ".onnx", ".h5", ".msgpack"};

bool IsModelName(const std::string& name) {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  return std::ranges::any_of(
      kModelSuffixes, [&](std::string_view suffix) { return lower.size() > suffix.size() && lower.ends_with(suffix); });
}

/// An archive, or the first part of one: the other parts come with it.
bool IsArchiveName(const std::string& name) {
  return HasSuffix(name) && (name.ends_with(kSuffix) || name.ends_with(".001"));
}

class Finder {
 public:
  Finder(bool (*is_wanted)(const std::string&), Console& console) : is_wanted_(is_wanted), console_(console) {}

  /// All wanted files below a directory, by name.
  std::vector<std::string> Find(const std::string& root) {
    std::vector<std::string> found;
    std::vector<std::string> waiting = {WithoutTrailingSlashes(root)};
    while (!waiting.empty()) {
      std::string directory = std::move(waiting.back());
      waiting.pop_back();
      Read(directory, waiting, found);
    }
    std::ranges::sort(found);
    return found;
  }

 private:
  void Read(const std::string& directory, std::vector<std::string>& waiting, std::vector<std::string>& found) {
    std::error_code error;
    fs::directory_iterator entry(directory, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      std::string name = entry->path().filename().string();
      std::error_code ignored;
      fs::file_status status = entry->symlink_status(ignored);
      if (fs::is_directory(status)) waiting.push_back(Join(directory, name));
      if (fs::is_regular_file(status) && is_wanted_(name)) found.push_back(Join(directory, name));
    }
    if (error) console_.Fail(directory, "cannot read the directory: " + error.message());
  }

  bool (*is_wanted_)(const std::string&);
  Console& console_;
};

bool IsArchiveOrFails(const std::string& path) {
  Result<bool> is_archive = IsArchive(path);
  return is_archive.ok() && is_archive.value();
}

/// Whether the second of two names is where the output goes.
bool SecondIsOutput(const Arguments& arguments) {
  const std::string& second = arguments.files[1];
  switch (arguments.verb) {
    case Verb::kConvert:
      return true;
    case Verb::kCompress:
      return HasSuffix(second) && !Exists(second);
    case Verb::kDecompress:
      return !HasSuffix(second) && !IsArchiveOrFails(second);
    default:
      return false;
  }
}

}  // namespace

std::optional<UsageError> ResolveOutput(Arguments& arguments) {
  bool is_open = !arguments.output.has_value() && !arguments.to_stdout && !arguments.recursive;
  if (is_open && arguments.files.size() == 2 && SecondIsOutput(arguments)) {
    arguments.output = arguments.files.back();
    arguments.files.pop_back();
  }
  if (arguments.verb == Verb::kConvert) {
    if (!arguments.output.has_value() && !arguments.to_stdout)
      return UsageError{"convert needs an input and an output"};
    if (arguments.files.size() != 1) return UsageError{"convert takes one input and one output"};
    bool restores = arguments.output.has_value() && !HasSuffix(*arguments.output) &&
                    arguments.files.front() != kStream &&
                    (HasSuffix(arguments.files.front()) || IsArchiveOrFails(arguments.files.front()));
    arguments.verb = restores ? Verb::kDecompress : Verb::kCompress;
  }
  bool is_one = arguments.output.has_value() && !NamesDirectory(*arguments.output);
  if (arguments.verb == Verb::kDecompress && is_one && arguments.files.size() > 1) {
    return UsageError{"-o names one output, but there are " + std::to_string(arguments.files.size()) +
                      " inputs; it may be a directory"};
  }
  return std::nullopt;
}

void ExpandDirectories(Arguments& arguments, Console& console) {
  if (!arguments.recursive && arguments.verb != Verb::kBench) return;
  bool reads_models =
      arguments.verb == Verb::kCompress || arguments.verb == Verb::kScan || arguments.verb == Verb::kBench;
  Finder finder(reads_models ? IsModelName : IsArchiveName, console);
  std::vector<std::string> files;
  for (const std::string& file : arguments.files) {
    if (!IsDirectory(file)) {
      files.push_back(file);
      continue;
    }
    std::vector<std::string> found = finder.Find(file);
    if (found.empty()) console.Warn(file, reads_models ? "holds no model files" : "holds no archives");
    files.insert(files.end(), found.begin(), found.end());
  }
  arguments.files = std::move(files);
}

}  // namespace flyweight::cli
