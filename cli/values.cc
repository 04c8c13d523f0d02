#include "cli/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace flyweight::cli {
namespace {

constexpr std::string_view kDigits = "0123456789";

/// Digits with at most one point among them: "5", "1.5", ".5".
std::optional<double> ParseDecimal(std::string_view text) {
  constexpr size_t kLengthMax = 40;
  size_t point = text.find('.');
  std::string_view whole = text.substr(0, point);
  std::string_view fraction = point == std::string_view::npos ? "" : text.substr(point + 1);
  bool has_digits = !whole.empty() || !fraction.empty();
  if (!has_digits || text.size() > kLengthMax || whole.find_first_not_of(kDigits) != std::string_view::npos ||
      fraction.find_first_not_of(kDigits) != std::string_view::npos) {
    return std::nullopt;
  }
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

char Lower(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter; }

/// What a unit multiplies by; nothing for what is no unit.
std::optional<double> UnitBytes(std::string_view unit) {
  if (unit.empty()) return 1.0;
  size_t power = std::string_view("bkmgtp").find(Lower(unit.front()));
  if (power == std::string_view::npos) return std::nullopt;
  std::string_view rest = unit.substr(1);
  auto is = [&](std::string_view word) {
    if (rest.size() != word.size()) return false;
    for (size_t i = 0; i < word.size(); ++i) {
      if (Lower(rest[i]) != word[i]) return false;
    }
    return true;
  };
  if (rest.empty() || (power > 0 && is("ib"))) return std::pow(1024.0, static_cast<double>(power));
  if (power > 0 && is("b")) return std::pow(1000.0, static_cast<double>(power));
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> ParseCount(std::string_view text, uint64_t max) {
  if (text.empty() || text.find_first_not_of(kDigits) != std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  size_t number_end = text.find_first_not_of("0123456789.");
  std::string_view number = text.substr(0, number_end);
  std::string_view unit_text = number_end == std::string_view::npos ? "" : text.substr(number_end);
  std::optional<double> unit = UnitBytes(unit_text);
  if (!unit.has_value()) return std::nullopt;
  if (*unit == 1.0) return ParseCount(number, UINT64_MAX);
  std::optional<double> value = ParseDecimal(number);
  constexpr double kLimit = 9e18;
  if (!value.has_value() || *value * *unit > kLimit) return std::nullopt;
  return static_cast<uint64_t>(*value * *unit);
}

std::optional<double> ParsePercent(std::string_view text) {
  if (text.ends_with('%')) text.remove_suffix(1);
  std::optional<double> value = ParseDecimal(text);
  return value.has_value() && *value > 0 && *value <= 100 ? value : std::nullopt;
}

std::optional<double> ParseFraction(std::string_view text) {
  if (text.ends_with('%')) {
    std::optional<double> percent = ParsePercent(text);
    return percent.has_value() ? std::optional(*percent / 100) : std::nullopt;
  }
  std::optional<double> value = ParseDecimal(text);
  return value.has_value() && *value > 0 && *value <= 1 ? value : std::nullopt;
}

std::optional<std::vector<Level>> ParseLevels(std::string_view text) {
  std::vector<Level> levels;
  while (true) {
    std::string_view word = text.substr(0, text.find(','));
    auto found = std::ranges::find(kAllLevels, word, LevelName);
    if (found == kAllLevels.end()) return std::nullopt;
    levels.push_back(*found);
    if (word.size() == text.size()) return levels;
    text.remove_prefix(word.size() + 1);
  }
}

}  // namespace flyweight::cli
