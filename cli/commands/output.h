#pragma once

#include <functional>
#include <optional>
#include <string>

#include "cli/args.h"
#include "cli/console.h"
#include "flyweight/result.h"

namespace flyweight::cli {

inline constexpr const char* kSuffix = ".fly";

bool HasSuffix(const std::string& path);

/// Where the output goes by -o and -c, or to standard output where standard input is read; nothing where the name
/// follows from the source's.
std::optional<std::string> ExplicitOutput(const std::string& source, const Arguments& arguments);

/// Tells the console and returns true where `path` is a directory.
bool RefuseDirectory(const std::string& path, Console& console);

/// Calls `write(overwrite)`; where it finds the target in its way, asks whether to replace it or warns.
/// Returns the result where something was written; all else was told to the console.
template <typename Summary>
std::optional<Summary> WriteOutput(const std::string& source, const std::string& target, const Arguments& arguments,
                                   Console& console, const std::function<Result<Summary>(bool overwrite)>& write) {
  Result<Summary> result = write(arguments.force);
  if (!result.ok() && result.error().code == ErrorCode::kExists) {
    if (source == kStream || !console.Confirm(target + " already exists; overwrite?")) {
      console.Warn(target, "already exists; use -f to overwrite");
      return std::nullopt;
    }
    result = write(true);
  }
  if (result.ok()) return std::move(result).value();
  console.Fail(source, result.error());
  return std::nullopt;
}

}  // namespace flyweight::cli
