#pragma once

#include <optional>
#include <variant>

#include "cli/args.h"

namespace flyweight::cli {

/// Refuses verbs that are not there yet.
std::optional<UsageError> CheckVerb(Verb verb);

/// Refuses what does not go together, before anything is touched; else the arguments as they are to be carried out.
std::variant<Arguments, UsageError> CheckArguments(Arguments arguments);

}  // namespace flyweight::cli
