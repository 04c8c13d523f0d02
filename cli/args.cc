#include "cli/args.h"

#include <sys/stat.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "cli/args_check.h"
#include "cli/values.h"

namespace flyweight::cli {
namespace {

constexpr uint64_t kThreadsMax = 1024;
constexpr uint32_t kEccPermille = 50;
constexpr uint32_t kKeyEvery = 10;  // restoring a version then takes ten records a tensor at most
constexpr uint64_t kCountMax = 1000000;

/// Options that users of other tools try and that must not be taken for something else.
struct Refusal {
  const char* options;
  const char* message;
};

constexpr std::array kRefusals = {
    Refusal{"--diff,--rediff", "comparing models is a verb: flyweight diff A B"},
    Refusal{"--serve", "there is no server; flyweight info and list read archives where they are"},
    Refusal{"--use-v8-codec",
            "there is no codec to choose: each tensor gets the one that suits it; leave the option out"},
};

/// An option beside what it means and which verbs it goes with.
struct Known {
  CLI::Option* option;
  Verbs verbs;
};

constexpr Verbs kCompressing(Verb::kCompress, Verb::kConvert);
constexpr Verbs kDecompressing(Verb::kDecompress, Verb::kConvert, Verb::kExtract, Verb::kApply);
constexpr Verbs kTakingBases(Verb::kCompress, Verb::kDecompress, Verb::kConvert, Verb::kExtract, Verb::kVerify,
                             Verb::kRepair);

/// A word for an effort.
struct LevelName {
  const char* options;
  Level level;
};

constexpr std::array kLevelNames = {
    LevelName{"-1", Level::kFast},
    LevelName{"-2", Level::kFast},
    LevelName{"-3", Level::kFast},
    LevelName{"-4", Level::kBalanced},
    LevelName{"-5", Level::kBalanced},
    LevelName{"-6", Level::kBalanced},
    LevelName{"-7", Level::kHigh},
    LevelName{"-8", Level::kHigh},
    LevelName{"-9,--best", Level::kMax},
    LevelName{"--balanced", Level::kBalanced},
    LevelName{"--inference", Level::kBalanced},
    LevelName{"--high", Level::kHigh},
    LevelName{"--storage", Level::kMax},
};

/// What CLI11 fills in.
struct Flags {
  Arguments arguments;
  std::string output, threads, part, max_output, max_memory, recovery, sample, from, pattern, lossy, lossy_delta,
      level_list;
  bool decompress = false;
  bool test = false;
  bool list = false;
  bool help = false;
  bool version = false;
  bool ecc = false;
  bool fast = false;
  bool max = false;
  bool no_verify = false;
  bool sequence = false;
  std::string key_every, keep_last, patch;
  std::array<bool, kRefusals.size()> refused{};
  std::array<CLI::Option*, kLevelNames.size()> levels{};
  std::vector<Known> known;
};

void AddLevels(CLI::App& app, Flags& flags) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) flags.levels[i] = app.add_flag(kLevelNames[i].options);
  app.add_flag("-z,--max", flags.max);
}

void AddFlags(CLI::App& app, Flags& flags) {
  Arguments& arguments = flags.arguments;
  auto add = [&](const char* names, bool& value, Verbs verbs) {
    flags.known.push_back({app.add_flag(names, value), verbs});
  };
  app.add_flag("-d,--decompress,--uncompress", flags.decompress);
  app.add_flag("-t,--test", flags.test);
  app.add_flag("-l,--list", flags.list);
  app.add_flag("-k,--keep", arguments.keep);
  app.add_flag("-f,--force", arguments.force);
  app.add_flag("-q,--quiet", arguments.quiet);
  app.add_flag("-v,--verbose", arguments.verbose);
  app.add_flag("--json", arguments.json);
  app.add_flag("-h,--help", flags.help);
  app.add_flag("-V,--version", flags.version);
  app.add_flag("--fast", flags.fast);
  add("-c,--stdout,--to-stdout", arguments.to_stdout,
      Verbs(Verb::kCompress, Verb::kDecompress, Verb::kConvert, Verb::kExtract, Verb::kApply));
  add("-r,--recursive", arguments.recursive,
      Verbs(Verb::kCompress, Verb::kDecompress, Verb::kList, Verb::kInfo, Verb::kStat, Verb::kVerify, Verb::kMigrate,
            Verb::kScan, Verb::kBench));
  add("--rm", arguments.remove_source, kCompressing);
  add("--resume", arguments.resume, kCompressing);
  add("--no-verify", flags.no_verify, kCompressing);
  add("--ecc", flags.ecc, kCompressing);
  add("--strict", arguments.strict, Verbs(Verb::kVerify));
  add("--dry-run", arguments.dry_run,
      Verbs(Verb::kCompress, Verb::kDecompress, Verb::kConvert, Verb::kMigrate, Verb::kApply, Verb::kPrune));
  add("--auto-base,--auto-delta", arguments.auto_base, Verbs(Verb::kCompress));
  add("--sequence", flags.sequence, Verbs(Verb::kCompress));
  add("--lineage", arguments.lineage, Verbs(Verb::kList, Verb::kInfo));
  add("--salvage", arguments.salvage, Verbs(Verb::kDecompress, Verb::kExtract));
  for (size_t i = 0; i < kRefusals.size(); ++i) app.add_flag(kRefusals[i].options, flags.refused[i]);
}

void AddValues(CLI::App& app, Flags& flags) {
  auto add = [&](const char* names, std::string& value, Verbs verbs) {
    flags.known.push_back({app.add_option(names, value)->take_last(), verbs});
  };
  app.add_option("-T,--threads", flags.threads)->take_last();
  add("-o,--output", flags.output,
      Verbs(Verb::kCompress, Verb::kDecompress, Verb::kConvert, Verb::kExtract, Verb::kRepair, Verb::kApply,
            Verb::kRebase));
  add("-s,--split", flags.part, kCompressing);
  add("--recovery", flags.recovery, Verbs(Verb::kCompress, Verb::kConvert, Verb::kMigrate));
  add("--lossy", flags.lossy, kCompressing);
  add("--lossy-delta", flags.lossy_delta, kCompressing);
  add("--max-output", flags.max_output, kDecompressing);
  add("--max-memory", flags.max_memory,
      Verbs(Verb::kDecompress, Verb::kConvert, Verb::kExtract, Verb::kVerify, Verb::kList, Verb::kInfo, Verb::kStat,
            Verb::kApply));
  add("--sample", flags.sample, Verbs(Verb::kVerify));
  add("--from", flags.from, Verbs(Verb::kRepair));
  add("--tensor", flags.pattern, Verbs(Verb::kStat, Verb::kList, Verb::kDiff));
  add("--levels", flags.level_list, Verbs(Verb::kBench));
  add("--key-every", flags.key_every, Verbs(Verb::kCompress));
  add("--keep-last", flags.keep_last, Verbs(Verb::kPrune));
  add("--patch", flags.patch, Verbs(Verb::kDiff));
  auto* directories = app.add_option("--base-dir", flags.arguments.base_directories)->allow_extra_args(false);
  flags.known.push_back({directories, Verbs(Verb::kCompress, Verb::kDecompress, Verb::kExtract, Verb::kVerify,
                                            Verb::kApply, Verb::kRebase, Verb::kPrune)});
  auto* onto = app.add_option("--onto", flags.arguments.onto)->allow_extra_args(false);
  flags.known.push_back({onto, Verbs(Verb::kRebase)});
  auto* strip = app.add_option("-x,--strip,--exclude", flags.arguments.strip)->allow_extra_args(false);
  flags.known.push_back({strip, kCompressing});
  auto* bases = app.add_option("--base,--delta-from", flags.arguments.bases)->allow_extra_args(false);
  flags.known.push_back({bases, kTakingBases});
  app.add_option("files", flags.arguments.files);
}

/// "--rm=false" is not a way to say no: a flag has no value.
std::optional<UsageError> RefuseFlagValues(const CLI::App& app, std::span<const std::string> words) {
  for (const std::string& word : words) {
    if (word == "--") break;
    size_t equals = word.find('=');
    if (!word.starts_with("--") || equals == std::string::npos) continue;
    const CLI::Option* option = app.get_option_no_throw(word.substr(0, equals));
    if (option != nullptr && option->get_items_expected_max() == 0) {
      return UsageError{word.substr(0, equals) + " takes no value"};
    }
  }
  return std::nullopt;
}

/// Fills in the numbers.
std::optional<UsageError> ReadValues(const CLI::App& app, Flags& flags) {
  Arguments& arguments = flags.arguments;
  auto is_given = [&](const char* name) { return app.get_option(name)->count() > 0; };
  auto bad = [](const char* option, const std::string& text, const char* wanted) {
    return UsageError{std::string(option) + ": '" + text + "' is not " + wanted};
  };
  constexpr const char* kSizeText = "a size such as 5000, 1.5G or 8GiB";
  if (is_given("--output")) arguments.output = flags.output;
  if (is_given("--from")) arguments.from = flags.from;
  if (is_given("--tensor")) arguments.pattern = flags.pattern;
  if (is_given("--lossy")) {
    Result<LossyOptions> lossy = ParseLossyOptions(flags.lossy);
    if (!lossy.ok()) return UsageError{"--lossy: " + lossy.error().message};
    arguments.lossy = lossy.value();
  }
  if (is_given("--lossy-delta")) {
    Result<LossyDeltaOptions> delta = ParseLossyDelta(flags.lossy_delta);
    if (!delta.ok()) return UsageError{"--lossy-delta: " + delta.error().message};
    arguments.lossy.delta = delta.value();
  }
  if (is_given("--threads")) {
    std::optional<uint64_t> count = ParseCount(flags.threads, kThreadsMax);
    if (!count.has_value()) return bad("-T", flags.threads, "a number from 0 to 1024");
    arguments.thread_count = static_cast<size_t>(*count);
  }
  if (is_given("--split")) {
    arguments.part_bytes = ParseSize(flags.part);
    if (arguments.part_bytes.value_or(0) == 0) return bad("-s", flags.part, kSizeText);
  }
  if (is_given("--max-output")) {
    arguments.max_output_bytes = ParseSize(flags.max_output);
    if (!arguments.max_output_bytes.has_value()) return bad("--max-output", flags.max_output, kSizeText);
  }
  if (is_given("--max-memory")) {
    arguments.max_memory_bytes = ParseSize(flags.max_memory);
    if (arguments.max_memory_bytes.value_or(0) == 0) return bad("--max-memory", flags.max_memory, kSizeText);
  }
  if (flags.ecc) arguments.recovery_permille = kEccPermille;
  if (is_given("--recovery")) {
    std::optional<double> percent = ParsePercent(flags.recovery);
    arguments.recovery_permille = static_cast<uint32_t>(percent.value_or(0) * 10 + 0.5);
    constexpr double kLeastPercent = 0.1;
    constexpr double kMostPercent = 50;
    bool in_range = percent.value_or(0) >= kLeastPercent && *percent <= kMostPercent;
    if (!in_range) return bad("--recovery", flags.recovery, "a percentage from 0.1% to 50%");
  }
  if (is_given("--sample")) {
    arguments.sample_fraction = ParseFraction(flags.sample);
    if (!arguments.sample_fraction.has_value()) return bad("--sample", flags.sample, "a part such as 0.01 or 1%");
  }
  if (is_given("--levels")) {
    std::optional<std::vector<Level>> levels = ParseLevels(flags.level_list);
    if (!levels.has_value()) return bad("--levels", flags.level_list, "a list of fast, balanced, high and max");
    arguments.levels = *levels;
  }
  if (is_given("--patch")) arguments.patch = flags.patch;
  if (is_given("--keep-last")) {
    arguments.keep_last = ParseCount(flags.keep_last, kCountMax).value_or(0);
    if (arguments.keep_last == 0) return bad("--keep-last", flags.keep_last, "a number of archives");
  }
  if (flags.sequence) arguments.key_every = kKeyEvery;
  if (is_given("--key-every")) {
    arguments.key_every = static_cast<uint32_t>(ParseCount(flags.key_every, kCountMax).value_or(0));
    if (arguments.key_every == 0) return bad("--key-every", flags.key_every, "a number of versions");
    if (!flags.sequence) return UsageError{"--key-every goes with --sequence"};
  }
  arguments.verify = !flags.no_verify;
  return std::nullopt;
}

/// Which effort the words mean, of which one may be given. Beside -z, as in -kz9, a number says nothing more.
std::optional<UsageError> ReadLevel(const Flags& flags, bool fast_is_level, Level& level) {
  size_t count = 0;
  auto take = [&](bool is_given, Level given) {
    if (!is_given) return;
    level = given;
    ++count;
  };
  for (size_t i = 0; i < kLevelNames.size(); ++i) take(flags.levels[i]->count() > 0, kLevelNames[i].level);
  take(flags.fast && fast_is_level, Level::kFast);
  bool is_named = flags.fast && fast_is_level;
  for (size_t i = 0; i < kLevelNames.size(); ++i)
    is_named = is_named || (flags.levels[i]->count() > 0 && std::string_view(kLevelNames[i].options).starts_with("--"));
  if (flags.max) level = Level::kMax;
  if (count > 1 || (flags.max && is_named)) return UsageError{"more than one level is given"};
  return std::nullopt;
}

/// Which verb the words mean, and what it is given.
std::variant<Arguments, UsageError> Resolve(Flags& flags, std::optional<Verb> verb, bool has_separator) {
  Arguments& arguments = flags.arguments;
  for (size_t i = 0; i < kRefusals.size(); ++i) {
    if (flags.refused[i]) return UsageError{kRefusals[i].message};
  }
  if (flags.decompress + flags.test + flags.list > 1) return UsageError{"-d, -t and -l exclude each other"};
  bool has_mode = flags.decompress || flags.test || flags.list;
  if (has_mode && verb.has_value()) return UsageError{"-d, -t and -l are not used beside a verb"};

  // A verb behind options: taken as one unless a file of that name is there.
  struct stat status;
  if (!verb.has_value() && !has_mode && !has_separator && !arguments.files.empty() &&
      stat(arguments.files.front().c_str(), &status) != 0) {
    verb = FindVerb(arguments.files.front());
    if (verb.has_value()) arguments.files.erase(arguments.files.begin());
  }
  if (flags.decompress) verb = Verb::kDecompress;
  if (flags.test) verb = Verb::kVerify;
  if (flags.list) verb = Verb::kList;
  arguments.verb = verb.value_or(Verb::kCompress);

  if (auto later = CheckVerb(arguments.verb); later.has_value()) return *later;
  auto is_given = [](const CLI::Option* option) { return option->count() > 0; };
  arguments.fast = flags.fast && arguments.verb == Verb::kVerify;
  if (auto bad = ReadLevel(flags, !arguments.fast, arguments.level); bad.has_value()) return *bad;
  for (const Known& known : flags.known) {
    if (!is_given(known.option) || known.verbs.Has(arguments.verb)) continue;
    return UsageError{known.option->get_name(false, true).substr(0, known.option->get_name(false, true).find(',')) +
                      " does not go with " + std::string(NameOf(arguments.verb))};
  }
  return CheckArguments(std::move(arguments));
}

/// Help and version ask for nothing else to make sense. False where neither is asked for.
bool ResolveHelp(const Flags& flags, std::optional<Verb> verb, Arguments& arguments) {
  const std::vector<std::string>& words = arguments.files;
  if (!flags.help && !flags.version && verb != Verb::kHelp) return false;
  arguments.verb = flags.version ? Verb::kVersion : Verb::kHelp;
  bool names_topic = (!verb.has_value() || verb == Verb::kHelp) && !words.empty();
  arguments.topic = names_topic ? FindVerb(words.front()) : verb;
  if (arguments.topic == Verb::kHelp) arguments.topic.reset();
  return true;
}

}  // namespace

std::variant<Arguments, UsageError> ParseArguments(int argument_count, const char* const* arguments) {
  std::optional<Verb> verb;
  if (argument_count > 1) verb = cli::FindVerb(std::string_view(arguments[1]));

  std::vector<std::string> words(arguments + (verb.has_value() ? 2 : 1), arguments + argument_count);
  bool has_separator = std::ranges::count(words, std::string("--")) > 0;
  for (std::string& word : words) {
    // CLI11 takes "[a,b]" for a list of two; with the directory in front it is the name of a file.
    if (word.starts_with('[') && word.ends_with(']')) word.insert(0, "./");
  }

  CLI::App app;
  Flags flags;
  app.set_help_flag();
  AddFlags(app, flags);
  AddValues(app, flags);
  AddLevels(app, flags);
  if (auto refused = RefuseFlagValues(app, words); refused.has_value()) return *refused;
  std::ranges::reverse(words);  // as CLI11 wants them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return UsageError{error.what()};
  }
  if (ResolveHelp(flags, verb, flags.arguments)) return flags.arguments;
  if (auto bad = ReadValues(app, flags); bad.has_value()) return *bad;
  return Resolve(flags, verb, has_separator);
}

}  // namespace flyweight::cli
