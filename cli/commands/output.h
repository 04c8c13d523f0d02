#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/args.h"
#include "cli/console.h"
#include "flyweight/result.h"

namespace flyweight::cli {

inline constexpr const char* kSuffix = ".fly";

/// True of "NAME.fly", and of "NAME.fly.001" and so on, which are parts of it.
bool HasSuffix(const std::string& path);

/// "a/model" of "a/model.fly" and of "a/model.fly.001". Precondition: HasSuffix(path).
std::string WithoutSuffix(const std::string& path);

/// "model" of "a/model" and of "a/model/"; empty where the path ends in no name of its own ("/", ".", "a/..").
std::string BaseNameOf(const std::string& path);

/// True where a path names a directory, links followed.
bool IsDirectory(const std::string& path);

/// True where there is anything under a name, a dangling link included.
bool Exists(const std::string& path);

std::string WithoutTrailingSlashes(std::string path);

/// True where an output named `path` goes below it: an existing directory, or a name with a slash at its end.
bool NamesDirectory(const std::string& path);

std::string Join(const std::string& directory, const std::string& name);

/// Tells the console and returns true where `path` is a directory and the verb wants an archive.
bool RefuseDirectory(const std::string& path, Console& console);

/// Tells the console that nothing was written since something stands under the name already.
void TellExists(const std::string& target, Console& console);

/// For --dry-run: says on standard output what would be written.
void TellPlan(const std::string& source, const std::string& target, const Arguments& arguments, Console& console);

/// Calls `write(overwrite)`; where it finds the target in its way, asks whether to replace it or warns.
/// Returns the result where something was written; all else was told to the console.
template <typename Summary>
std::optional<Summary> WriteOutput(const std::string& source, const std::string& target, const Arguments& arguments,
                                   Console& console, const std::function<Result<Summary>(bool overwrite)>& write) {
  Result<Summary> result = write(arguments.force);
  if (arguments.remove_source && !result.ok() && result.error().code == ErrorCode::kExists) {
    console.Warn(target, "already exists, and may be the only copy of what it holds; rename it first");
    return std::nullopt;
  }
  if (!result.ok() && result.error().code == ErrorCode::kExists && !arguments.force && Exists(target)) {
    if (source == kStream || !console.Confirm(target + " already exists; overwrite?")) {
      TellExists(target, console);
      return std::nullopt;
    }
    result = write(true);
  }
  if (result.ok()) return std::move(result).value();
  console.Fail(source, result.error());
  return std::nullopt;
}

}  // namespace flyweight::cli
