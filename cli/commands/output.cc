#include "cli/commands/output.h"

#include <sys/stat.h>

#include <string_view>

namespace flyweight::cli {

bool HasSuffix(const std::string& path) {
  std::string_view name = path;
  if (size_t slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  return name.size() > std::string_view(kSuffix).size() && name.ends_with(kSuffix);
}

std::optional<std::string> ExplicitOutput(const std::string& source, const Arguments& arguments) {
  if (arguments.output.has_value()) return arguments.output;
  if (arguments.to_stdout || source == kStream) return std::string(kStream);
  return std::nullopt;
}

bool RefuseDirectory(const std::string& path, Console& console) {
  struct stat status;
  if (path == kStream || stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return false;
  console.Fail(path, "is a directory; archives of directories are not supported yet");
  return true;
}

}  // namespace flyweight::cli
