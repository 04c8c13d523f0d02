#include <algorithm>
#include <cstdio>

#include "cli/commands/commands.h"
#include "cli/commands/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "flyweight/base_search.h"
#include "flyweight/lineage.h"

namespace flyweight::cli {
namespace {

std::string Percent(double part) {
  char text[16];
  std::snprintf(text, sizeof text, part > 0 && part < 0.01 ? "%.2f%%" : "%.1f%%", 100 * part);
  return text;
}

std::string DirectoryOf(const std::string& path) {
  std::string trimmed = WithoutTrailingSlashes(path);
  size_t slash = trimmed.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : trimmed.substr(0, slash);
}

/// "about 6.1% of 45 MB (alone 66%): 100% of its bytes in tensors of the same names, 23.7% of 4096 sampled weights
/// differ".
std::string Numbers(const BaseCandidate& candidate) {
  return "about " + HumanBytes(candidate.patch_bytes) + " where " + HumanBytes(candidate.standalone_bytes) +
         " would be needed alone; " + Percent(candidate.shared_part) + " of the bytes are in tensors that both have, " +
         Percent(candidate.changed_part) + " of " + std::to_string(candidate.sample_count) + " sampled weights differ";
}

std::string LookedAt(const BaseSearchResult& result) {
  std::string text = std::to_string(result.candidate_count) + (result.candidate_count == 1 ? " model" : " models");
  if (result.unreadable_count > 0) {
    text += ", of which " + std::to_string(result.unreadable_count) + " could not be read (or are patches)";
  }
  if (!result.same.empty()) text += "; " + result.same.front() + " holds this very model, so it is no base for it";
  return text + (result.is_complete ? "" : ", and not at all there are");
}

bool SearchBase(const std::string& file, Arguments& arguments, Console& console) {
  BaseSearchOptions options;
  options.directories = arguments.base_directories;
  if (options.directories.empty()) options.directories = {DirectoryOf(file)};
  if (arguments.output.has_value()) options.exclude.push_back(*arguments.output);
  options.exclude.push_back(WithoutTrailingSlashes(file) + kSuffix);
  options.thread_count = arguments.thread_count;
  Result<BaseSearchResult> result = [&] {
    ProgressBar bar(console.Label(file), 1, console.wants_progress());
    options.notice = TellNotices(file, bar, console);
    return FindBase(file, options);
  }();
  if (!result.ok()) {
    console.Fail(file, result.error());
    return false;
  }
  const std::vector<BaseCandidate>& best = result.value().best;
  if (!best.empty() && best.front().pays()) {
    arguments.bases = {best.front().path};
    console.Tell(
        file, "base " + best.front().path + ": " + Numbers(best.front()) + "; looked at " + LookedAt(result.value()));
    return true;
  }
  std::string nearest = best.empty() ? "none has tensors of these names and shapes"
                                     : "the nearest is " + best.front().path + ", " + Numbers(best.front());
  console.Tell(file, "no base found, compressed alone: looked at " + LookedAt(result.value()) + "; " + nearest);
  return true;
}

}  // namespace

bool FindBasesOf(const std::string& file, Arguments& arguments, Console& console) {
  if (arguments.auto_base) return SearchBase(file, arguments, console);
  if (arguments.base_directories.empty()) return true;
  Result<std::vector<std::string>> bases = FindBases(file, arguments.base_directories, arguments.thread_count);
  if (!bases.ok()) {
    console.Fail(file, bases.error());
    return false;
  }
  arguments.bases = std::move(bases).value();
  return true;
}

}  // namespace flyweight::cli
