#include "cli/args_check.h"

#include <algorithm>

namespace flyweight::cli {
namespace {

using Complaint = std::optional<UsageError>;

Complaint CheckFiles(const Arguments& arguments) {
  auto count = std::ranges::count(arguments.files, std::string(kStream));
  if (count > 1) return UsageError{"standard input (-) can be read once only"};
  if (std::ranges::count(arguments.files, std::string()) > 0) return UsageError{"a file name is empty"};
  constexpr Verbs kNeedNames(Verb::kExtract, Verb::kScan, Verb::kMigrate, Verb::kRepair, Verb::kConvert, Verb::kBench);
  std::string verb(NameOf(arguments.verb));
  if (kNeedNames.Has(arguments.verb) && (arguments.files.empty() || (count > 0 && arguments.verb != Verb::kConvert))) {
    return UsageError{verb + " needs the name of a file"};
  }
  if (arguments.recursive && (arguments.files.empty() || count > 0)) {
    return UsageError{"-r needs the name of a directory"};
  }
  if (arguments.verb == Verb::kConvert && arguments.files.size() > 2) {
    return UsageError{"convert takes one input and one output"};
  }
  if (arguments.verb == Verb::kServePlan && (arguments.files.size() < 2 || count > 0)) {
    return UsageError{"serve-plan needs a base and patches: serve-plan BASE P1.fly P2.fly"};
  }
  if (arguments.verb == Verb::kDiff && arguments.files.size() != 2) return UsageError{"diff takes two models"};
  if (arguments.verb == Verb::kRepair && arguments.files.size() > 1 && arguments.output.has_value()) {
    return UsageError{"-o names one output, but there are " + std::to_string(arguments.files.size()) + " inputs"};
  }
  return std::nullopt;
}

Complaint CheckOutput(const Arguments& arguments) {
  if (!arguments.output.has_value()) return std::nullopt;
  if (arguments.to_stdout) return UsageError{"-o and -c exclude each other"};
  if (arguments.output->empty()) return UsageError{"-o needs a file name"};
  if (arguments.recursive) return UsageError{"-r writes beside each file: -o does not go with it"};
  bool has_stream = std::ranges::count(arguments.files, std::string(kStream)) > 0;
  if (has_stream && arguments.files.size() > 1) {
    return UsageError{"standard input (-) cannot be one of several inputs of an archive"};
  }
  return std::nullopt;
}

/// True where data goes to standard output.
bool TakesStdout(const Arguments& arguments) {
  constexpr Verbs kFilters(Verb::kCompress, Verb::kDecompress);
  bool is_filter = kFilters.Has(arguments.verb) && !arguments.output.has_value() &&
                   (arguments.files.empty() || std::ranges::count(arguments.files, std::string(kStream)) > 0);
  return arguments.to_stdout || arguments.output == kStream || is_filter;
}

Complaint CheckStreams(const Arguments& arguments) {
  if (!TakesStdout(arguments)) return std::nullopt;
  if (arguments.json) return UsageError{"--json needs standard output, which the data goes to"};
  if (arguments.part_bytes.has_value()) return UsageError{"-s writes several files, standard output is one stream"};
  if (arguments.resume) return UsageError{"--resume needs an output file"};
  if (arguments.recovery_permille != 0) return UsageError{"--recovery needs an output file"};
  if (arguments.recursive) return UsageError{"-r writes beside each file: -c does not go with it"};
  if (arguments.remove_source) return UsageError{"--rm needs an output file, which can be read back before"};
  return std::nullopt;
}

Complaint CheckRemoval(const Arguments& arguments) {
  if (!arguments.remove_source) return std::nullopt;
  if (arguments.keep) return UsageError{"--rm and -k exclude each other"};
  if (!arguments.verify) return UsageError{"--rm and --no-verify exclude each other"};
  if (arguments.lossy.enabled() || !arguments.strip.empty()) {
    return UsageError{
        "--rm would leave no copy of what --lossy, --lossy-delta or --strip drops; remove the source yourself"};
  }
  return std::nullopt;
}

Complaint CheckBases(const Arguments& arguments) {
  for (const std::string& base : arguments.bases) {
    if (base.empty()) return UsageError{"--base needs the name of a file or directory"};
    if (base == kStream) return UsageError{"--base cannot be standard input, since it is read more than once"};
  }
  if (!arguments.bases.empty() && arguments.remove_source) {
    return UsageError{"--rm would leave no copy that is readable without the base; remove the source yourself"};
  }
  if (!arguments.bases.empty() && (arguments.lossy.method.has_value() || arguments.lossy.is_adaptive())) {
    return UsageError{"--lossy and --base exclude each other; a patch on a base takes --lossy-delta"};
  }
  if (arguments.bases.empty() && arguments.lossy.delta.has_value()) {
    return UsageError{"--lossy-delta needs --base, which it is a delta to"};
  }
  if (arguments.verb != Verb::kApply) return std::nullopt;
  if (!arguments.base_directories.empty() && arguments.files.size() > 1) {
    return UsageError{"apply --base-dir DIR takes one patch: the others are found in DIR"};
  }
  if (arguments.base_directories.empty() && arguments.files.size() < 2)
    return UsageError{"apply needs a base and a patch: apply BASE P.fly -o OUT"};
  if (std::ranges::count(arguments.files, std::string(kStream)) > 0) {
    return UsageError{"apply reads files and directories, not standard input"};
  }
  if (!arguments.output.has_value() && !arguments.to_stdout) return UsageError{"apply needs -o OUT, or -c"};
  return std::nullopt;
}

Complaint CheckLineage(const Arguments& arguments) {
  size_t count = arguments.files.size();
  if (!arguments.bases.empty() && !arguments.base_directories.empty()) {
    return UsageError{"--base and --base-dir exclude each other"};
  }
  bool looks_for_base =
      arguments.verb == Verb::kCompress && (arguments.auto_base || !arguments.base_directories.empty());
  if (looks_for_base && !arguments.auto_base) return UsageError{"--base-dir goes with --auto-base"};
  if (looks_for_base && (count != 1 || arguments.files.front() == kStream || arguments.recursive)) {
    return UsageError{"--auto-base takes one file or directory"};
  }
  if (looks_for_base && !arguments.bases.empty()) return UsageError{"--base and --auto-base exclude each other"};
  if (looks_for_base && (arguments.remove_source || arguments.lossy.enabled())) {
    return UsageError{"--auto-base goes with neither --rm nor --lossy"};
  }
  if (arguments.key_every != 0 && (looks_for_base || !arguments.bases.empty() || arguments.lossy.enabled())) {
    return UsageError{"--sequence goes with neither a base nor --lossy"};
  }
  if (arguments.verb == Verb::kRebase) {
    if (count == 0)
      return UsageError{"rebase needs a base and patches: rebase BASE P1.fly P2.fly --onto NEW -o OUT.fly"};
    if (!arguments.output.has_value()) return UsageError{"rebase needs -o OUT.fly"};
    if (!arguments.base_directories.empty() && count > 1) {
      return UsageError{"rebase --base-dir DIR takes one patch: the others are found in DIR"};
    }
  }
  if (arguments.verb == Verb::kPrune) {
    if (count == 0) return UsageError{"prune needs a directory"};
    if (count == 1 && arguments.keep_last == 0) {
      return UsageError{"prune needs to know what to keep: prune DIR --keep NAME..., or --keep-last N"};
    }
  }
  return std::nullopt;
}

Complaint CheckMemory(const Arguments& arguments) {
  constexpr uint64_t kLeastBytes = uint64_t{32} << 20;
  if (arguments.max_memory_bytes.value_or(kLeastBytes) >= kLeastBytes) return std::nullopt;
  return UsageError{"--max-memory under 32M leaves no room to work"};
}

Complaint CheckVerify(const Arguments& arguments) {
  if (arguments.fast && arguments.sample_fraction.has_value()) {
    return UsageError{"--fast and --sample exclude each other"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<UsageError> CheckVerb(Verb verb) {
  constexpr Verbs kLater(Verb::kReport);
  if (!kLater.Has(verb)) return std::nullopt;
  return UsageError{std::string(NameOf(verb)) + " comes in a later version"};
}

std::variant<Arguments, UsageError> CheckArguments(Arguments arguments) {
  if (arguments.verb == Verb::kExtract && !arguments.files.empty()) {
    arguments.members.assign(arguments.files.begin() + 1, arguments.files.end());
    arguments.files.resize(1);
    if (arguments.members.empty() && !arguments.salvage)
      return UsageError{"extract needs the names of what to take out"};
  }
  for (auto check :
       {CheckFiles, CheckOutput, CheckStreams, CheckRemoval, CheckVerify, CheckBases, CheckMemory, CheckLineage}) {
    if (Complaint complaint = check(arguments); complaint.has_value()) return *complaint;
  }
  return arguments;
}

}  // namespace flyweight::cli
