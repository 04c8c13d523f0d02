#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace flyweight::cli {

enum class Verb { kCompress, kDecompress, kList, kInfo, kVerify, kHelp, kVersion };

/// The path that means standard input or standard output.
inline constexpr const char* kStream = "-";

/// A command line, understood.
struct Arguments {
  Verb verb = Verb::kCompress;
  std::vector<std::string> files;  ///< empty = standard input
  std::optional<std::string> output;
  size_t thread_count = 0;  ///< 0 = all CPUs
  bool to_stdout = false;
  bool force = false;
  bool quiet = false;
  bool verbose = false;
  bool json = false;
};

/// A command line that makes no sense: what is wrong with it, in one sentence.
struct UsageError {
  std::string message;
};

std::variant<Arguments, UsageError> ParseArguments(int argument_count, const char* const* arguments);

}  // namespace flyweight::cli
