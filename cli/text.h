#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flyweight::cli {

/// The text as a terminal may show it: control characters, bytes that are not UTF-8 and characters that change the
/// direction of writing become \xHH, a backslash is doubled. Names come from files, and files from anywhere.
std::string EscapeForTerminal(std::string_view text);

/// Columns that escaped text takes, counting characters.
size_t DisplayWidth(std::string_view text);

/// "1.31 GB"; units of 1000.
std::string HumanBytes(uint64_t bytes);

/// "66.1%"; "-" where the whole is 0.
std::string HumanPercent(uint64_t part, uint64_t whole);

}  // namespace flyweight::cli
