#include "cli/commands/output.h"

#include <sys/stat.h>

#include <string_view>

#include "cli/json.h"
#include "cli/text.h"

namespace flyweight::cli {
namespace {

constexpr size_t kPartDigitsMin = 3;

/// The path without ".001".
std::string_view WithoutPartNumber(std::string_view path) {
  size_t dot = path.rfind('.');
  if (dot == std::string_view::npos || path.size() - dot - 1 < kPartDigitsMin) return path;
  bool is_number = path.find_first_not_of("0123456789", dot + 1) == std::string_view::npos;
  return is_number ? path.substr(0, dot) : path;
}

std::string_view LastName(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

bool HasSuffix(const std::string& path) {
  std::string_view name = WithoutPartNumber(LastName(path));
  return name.size() > std::string_view(kSuffix).size() && name.ends_with(kSuffix);
}

std::string WithoutSuffix(const std::string& path) {
  std::string_view archive = WithoutPartNumber(path);
  archive.remove_suffix(std::string_view(kSuffix).size());
  return std::string(archive);
}

std::string WithoutTrailingSlashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string BaseNameOf(const std::string& path) {
  std::string trimmed = WithoutTrailingSlashes(path);
  std::string name(LastName(trimmed));
  return name == "." || name == ".." ? "" : name;
}

bool IsDirectory(const std::string& path) {
  struct stat status;
  return path != kStream && stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool Exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 || lstat((path + ".001").c_str(), &status) == 0;
}

bool NamesDirectory(const std::string& path) { return path.ends_with('/') || IsDirectory(path); }

std::string Join(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

bool RefuseDirectory(const std::string& path, Console& console) {
  if (!IsDirectory(path)) return false;
  console.Warn(path, "is a directory; use -r for the archives below it");
  return true;
}

void TellExists(const std::string& target, Console& console) {
  console.Warn(target, "already exists; use -f to overwrite");
}

void TellPlan(const std::string& source, const std::string& target, const Arguments& arguments, Console& console) {
  if (!arguments.force && target != kStream && Exists(target)) return TellExists(target, console);
  if (arguments.json) return console.Print(ToJsonLine({{"source", source}, {"target", target}, {"dry_run", true}}));
  console.Print(EscapeForTerminal(DisplayName(source)) + " -> " +
                (target == kStream ? "standard output" : EscapeForTerminal(target)));
}

}  // namespace flyweight::cli
