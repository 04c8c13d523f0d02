#include "cli/args.h"

#include <sys/stat.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

namespace flyweight::cli {
namespace {

constexpr size_t kThreadsMax = 1024;

struct VerbName {
  std::string_view name;
  Verb verb;
};

constexpr std::array<VerbName, 8> kVerbNames = {{
    {"compress", Verb::kCompress},
    {"decompress", Verb::kDecompress},
    {"list", Verb::kList},
    {"ls", Verb::kList},
    {"info", Verb::kInfo},
    {"verify", Verb::kVerify},
    {"test", Verb::kVerify},
    {"help", Verb::kHelp},
}};

/// Options that users of gzip, xz or zstd try and that must not be taken for something else.
struct Refusal {
  const char* option;
  const char* message;
};

constexpr std::array<Refusal, 2> kRefusals = {{
    {"--rm", "--rm does not exist in this version: a source is never deleted"},
    {"-r,--recursive", "-r does not exist in this version: directories are not supported yet"},
}};

std::optional<Verb> FindVerb(std::string_view word) {
  auto found = std::ranges::find(kVerbNames, word, &VerbName::name);
  return found == kVerbNames.end() ? std::nullopt : std::optional(found->verb);
}

/// What CLI11 fills in.
struct Flags {
  Arguments arguments;
  std::string output;
  bool decompress = false;
  bool test = false;
  bool list = false;
  bool keep = false;
  bool help = false;
  bool version = false;
  std::array<bool, kRefusals.size()> refused{};
  std::vector<CLI::Option*> levels;
};

void AddLevels(CLI::App& app, Flags& flags) {
  for (char level = '1'; level <= '9'; ++level) {
    std::string name = std::string("-") + level;
    if (level == '1') name += ",--fast";
    if (level == '9') name += ",--best";
    flags.levels.push_back(app.add_flag(name));
  }
  for (const char* name : {"--balanced", "--high", "--max"}) flags.levels.push_back(app.add_flag(name));
}

void AddOptions(CLI::App& app, Flags& flags) {
  Arguments& arguments = flags.arguments;
  app.set_help_flag();
  app.add_flag("-d,--decompress,--uncompress", flags.decompress);
  app.add_flag("-t,--test", flags.test);
  app.add_flag("-l,--list", flags.list);
  app.add_flag("-c,--stdout,--to-stdout", arguments.to_stdout);
  app.add_flag("-k,--keep", flags.keep);
  app.add_flag("-f,--force", arguments.force);
  app.add_flag("-q,--quiet", arguments.quiet);
  app.add_flag("-v,--verbose", arguments.verbose);
  app.add_flag("--json", arguments.json);
  app.add_flag("-h,--help", flags.help);
  app.add_flag("-V,--version", flags.version);
  app.add_option("-o,--output", flags.output)->take_last();
  app.add_option("-T,--threads", arguments.thread_count)->take_last()->check(CLI::Range(size_t{0}, kThreadsMax));
  app.add_option("files", arguments.files);
  AddLevels(app, flags);
  for (size_t i = 0; i < kRefusals.size(); ++i) app.add_flag(kRefusals[i].option, flags.refused[i]);
}

std::variant<Arguments, UsageError> Check(const Arguments& arguments) {
  bool writes = arguments.verb == Verb::kCompress || arguments.verb == Verb::kDecompress;
  if (!writes && (arguments.output.has_value() || arguments.to_stdout)) {
    return UsageError{"-o and -c belong to compress and decompress"};
  }
  if (arguments.output.has_value() && arguments.to_stdout) return UsageError{"-o and -c exclude each other"};
  if (arguments.output.has_value() && arguments.output->empty()) return UsageError{"-o needs a file name"};
  if (arguments.output.has_value() && arguments.files.size() > 1) {
    return UsageError{"-o names one output, but there are " + std::to_string(arguments.files.size()) + " inputs"};
  }
  if (std::ranges::count(arguments.files, std::string(kStream)) > 1) {
    return UsageError{"standard input (-) can be read once only"};
  }
  if (std::ranges::count(arguments.files, std::string()) > 0) return UsageError{"a file name is empty"};
  bool compress_to_stdout = arguments.verb == Verb::kCompress && arguments.to_stdout;
  if (compress_to_stdout && arguments.files.size() > 1) {
    return UsageError{"-c writes one archive, but there are " + std::to_string(arguments.files.size()) + " inputs"};
  }
  bool stdout_taken = arguments.to_stdout || arguments.output == kStream ||
                      (writes && !arguments.output.has_value() &&
                       (arguments.files.empty() || std::ranges::count(arguments.files, std::string(kStream)) > 0));
  if (arguments.json && stdout_taken) return UsageError{"--json needs standard output, which the data goes to"};
  return arguments;
}

std::variant<Arguments, UsageError> Resolve(Flags& flags, std::optional<Verb> verb, bool has_separator) {
  Arguments& arguments = flags.arguments;
  if (flags.help) arguments.verb = Verb::kHelp;
  if (flags.version) arguments.verb = Verb::kVersion;
  if (flags.help || flags.version) return arguments;
  for (size_t i = 0; i < kRefusals.size(); ++i) {
    if (flags.refused[i]) return UsageError{kRefusals[i].message};
  }
  auto is_given = [](const CLI::Option* option) { return option->count() > 0; };
  if (std::ranges::count_if(flags.levels, is_given) > 1) return UsageError{"more than one level is given"};
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
  return Check(arguments);
}

}  // namespace

std::variant<Arguments, UsageError> ParseArguments(int argument_count, const char* const* arguments) {
  std::optional<Verb> verb;
  if (argument_count > 1) verb = FindVerb(arguments[1]);

  std::vector<std::string> words(arguments + (verb.has_value() ? 2 : 1), arguments + argument_count);
  bool has_separator = std::ranges::count(words, std::string("--")) > 0;
  for (std::string& word : words) {
    // CLI11 takes "[a,b]" for a list of two; with the directory in front it is the name of a file.
    if (word.starts_with('[') && word.ends_with(']')) word.insert(0, "./");
  }
  std::ranges::reverse(words);  // as CLI11 wants them

  CLI::App app;
  Flags flags;
  AddOptions(app, flags);
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return UsageError{error.what()};
  }
  if (app.get_option("--output")->count() > 0) flags.arguments.output = flags.output;
  return Resolve(flags, verb, has_separator);
}

}  // namespace flyweight::cli
