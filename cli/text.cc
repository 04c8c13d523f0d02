#include "cli/text.h"

#include <array>
#include <cstdio>

namespace flyweight::cli {
namespace {

void AppendEscaped(std::string& out, std::string_view bytes) {
  for (char byte : bytes) {
    char escaped[5];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    out += escaped;
  }
}

struct Character {
  uint32_t code = 0;
  size_t size_bytes = 0;  // 0 = not UTF-8
};

uint32_t ByteAt(std::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

Character DecodeUtf8(std::string_view text) {
  uint32_t first = ByteAt(text, 0);
  if (first < 0x80) return {first, 1};
  size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return {};
  uint32_t code = first & (0x7FU >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((ByteAt(text, i) & 0xC0U) != 0x80U) return {};
    code = code << 6U | (ByteAt(text, i) & 0x3FU);
  }
  constexpr std::array<uint32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kSmallest[size] || code > 0x10FFFF || is_surrogate) return {};
  return {code, size};
}

bool IsSafe(uint32_t code) {
  if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return false;        // C0, delete, C1
  if (code == 0x200E || code == 0x200F || code == 0x061C) return false;  // direction marks
  if (code >= 0x2028 && code <= 0x202E) return false;                    // line ends, direction overrides
  if (code >= 0x2066 && code <= 0x2069) return false;                    // direction isolates
  return code != 0xFEFF;
}

}  // namespace

std::string EscapeForTerminal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Character character = DecodeUtf8(text);
    size_t size_bytes = character.size_bytes == 0 ? 1 : character.size_bytes;
    std::string_view bytes = text.substr(0, size_bytes);
    if (character.size_bytes == 0 || !IsSafe(character.code)) {
      AppendEscaped(out, bytes);
    } else {
      out += character.code == '\\' ? "\\\\" : bytes;
    }
    text.remove_prefix(size_bytes);
  }
  return out;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (char byte : text) width += (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  return width;
}

std::string HumanBytes(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes) + " B";
  constexpr std::array<const char*, 6> kUnits = {"kB", "MB", "GB", "TB", "PB", "EB"};
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32];
  int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f %s", decimals, value, kUnits[unit]);
  return text;
}

std::string HumanPercent(uint64_t part, uint64_t whole) {
  if (whole == 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f%%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

}  // namespace flyweight::cli
