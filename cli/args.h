#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/verbs.h"
#include "flyweight/level.h"
#include "flyweight/lossy.h"

namespace flyweight::cli {

/// The path that means standard input or standard output.
inline constexpr const char* kStream = "-";

/// A command line, understood.
struct Arguments {
  Verb verb = Verb::kCompress;
  std::optional<Verb> topic;         ///< of kHelp: the verb that help is wanted on
  std::vector<std::string> files;    ///< empty = standard input
  std::vector<std::string> members;  ///< of kExtract: what to take out
  std::optional<std::string> output;
  std::optional<std::string> from;     ///< of kRepair: a second copy
  std::optional<std::string> pattern;  ///< of kStat, kList, kDiff: which tensors
  Level level = Level::kBalanced;
  std::vector<Level> levels;  ///< of kBench: which; empty = all
  LossyOptions lossy;
  std::vector<std::string> strip;
  std::vector<std::string> bases;             ///< a base and the patches on it
  std::vector<std::string> base_directories;  ///< where bases are looked for
  std::vector<std::string> onto;              ///< of kRebase: the new base and the patches on it
  std::optional<std::string> patch;           ///< of kDiff: a patch to write
  uint32_t key_every = 0;                     ///< of kCompress: the source is a sequence of versions
  uint64_t keep_last = 0;                     ///< of kPrune
  std::optional<uint64_t> part_bytes;
  std::optional<uint64_t> max_output_bytes;
  std::optional<uint64_t> max_memory_bytes;
  uint32_t recovery_permille = 0;
  std::optional<double> sample_fraction;
  size_t thread_count = 0;  ///< 0 = all CPUs
  bool to_stdout = false;
  bool force = false;
  bool quiet = false;
  bool verbose = false;
  bool json = false;
  bool keep = false;
  bool recursive = false;
  bool remove_source = false;
  bool resume = false;
  bool verify = true;
  bool fast = false;  ///< of kVerify
  bool strict = false;
  bool dry_run = false;
  bool salvage = false;
  bool auto_base = false;  ///< of kCompress
  bool lineage = false;    ///< of kList and kInfo
};

/// A command line that makes no sense: what is wrong with it, in one sentence.
struct UsageError {
  std::string message;
};

std::variant<Arguments, UsageError> ParseArguments(int argument_count, const char* const* arguments);

}  // namespace flyweight::cli
