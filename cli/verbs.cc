#include "cli/verbs.h"

#include <algorithm>

namespace flyweight::cli {

std::optional<Verb> FindVerb(std::string_view word) {
  auto found = std::ranges::find(kVerbNames, word, &VerbName::name);
  return found == kVerbNames.end() ? std::nullopt : std::optional(found->verb);
}

std::string_view NameOf(Verb verb) {
  auto found = std::ranges::find(kVerbNames, verb, &VerbName::verb);
  return found == kVerbNames.end() ? "" : found->name;
}

}  // namespace flyweight::cli
