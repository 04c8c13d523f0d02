#pragma once

#include "cli/args.h"
#include "cli/console.h"

namespace flyweight::cli {

/// Where the last of two files is the output ("compress SRC OUT.fly", "decompress IN OUT", "convert SRC OUT"), makes it
/// so. Looks at what is there, so that two inputs stay two inputs. Returns a complaint where the words make no sense.
std::optional<UsageError> ResolveOutput(Arguments& arguments);

/// For -r: replaces directories by the model files below them, or by the archives where the verb reads those. Links are
/// not followed. What cannot be read, and directories without any such file, are told to the console.
void ExpandDirectories(Arguments& arguments, Console& console);

}  // namespace flyweight::cli
