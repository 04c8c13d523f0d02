#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "flyweight/level.h"

namespace flyweight::cli {

// Numbers as users write them. Nothing where the text is not wholly one: no spaces, signs, exponents or hexadecimals.

/// A decimal number of at most `max`.
std::optional<uint64_t> ParseCount(std::string_view text, uint64_t max);

/// Bytes: "5000", "1.5G", "8GiB", "100MB". B is one byte; K, M, G, T, P and KiB, MiB, ... are powers of 1024, KB, MB,
/// ... powers of 1000; case does not matter. Fractions of a byte are dropped.
std::optional<uint64_t> ParseSize(std::string_view text);

/// "5", "5%", "0.5%": over 0, at most 100.
std::optional<double> ParsePercent(std::string_view text);

/// A part of 1, over 0, at most 1: "0.001" or "0.1%".
std::optional<double> ParseFraction(std::string_view text);

/// Names of levels with commas between them: "fast,max".
std::optional<std::vector<Level>> ParseLevels(std::string_view text);

}  // namespace flyweight::cli
