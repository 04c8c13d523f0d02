#include <bit>
#include <charconv>
#include <cmath>
#include <string>

#include "flyweight/lossy.h"

namespace flyweight {
namespace {

Error Unknown(std::string_view text, const std::string& why) {
  return {ErrorCode::kInvalidArgument, 0,
          "lossy method '" + std::string(text) + "': " + why +
              "; there are fp16, bf16, int8, int4, int8:BLOCK, auto=SIZE and auto=BITSbit"};
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  return lower;
}

/// Takes a decimal number off the front of `text`.
std::optional<double> TakeNumber(std::string_view& text) {
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number) || number <= 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

/// The factor of "", "k", "m", "g", "t", with "i" and "b" behind.
std::optional<double> UnitOf(std::string_view unit) {
  if (unit.ends_with('b')) unit.remove_suffix(1);
  bool binary = unit.ends_with('i');
  if (binary) unit.remove_suffix(1);
  if (unit.empty()) return binary ? std::nullopt : std::optional<double>(1);
  size_t power = std::string_view("kmgt").find(unit);
  if (unit.size() != 1 || power == std::string_view::npos) return std::nullopt;
  return std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power + 1));
}

Result<LossyOptions> ParseBudget(std::string_view text, std::string_view budget) {
  LossyOptions options;
  std::optional<double> number = TakeNumber(budget);
  if (!number.has_value()) return Unknown(text, "the budget is no number over 0");
  if (budget == "bit" || budget == "bits") {
    if (*number > 64) return Unknown(text, "more than 64 bits for each element");
    options.bits_per_element = *number;
    return options;
  }
  std::optional<double> unit = UnitOf(budget);
  if (!unit.has_value()) return Unknown(text, "unknown unit");
  double bytes = std::floor(*number * *unit);
  if (bytes < 1 || bytes >= 0x1p63) return Unknown(text, "not a size that an archive can have");
  options.budget_bytes = static_cast<uint64_t>(bytes);
  return options;
}

/// The whole of `text` as a small number.
std::optional<uint32_t> WholeNumber(std::string_view text) {
  uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<LossyOptions> ParseBlocks(std::string_view text, std::string_view rest) {
  size_t colon = rest.find(':');
  std::optional<uint32_t> bits = WholeNumber(rest.substr(0, colon));
  if (!bits.has_value() || *bits < kLossyMinBits || *bits > kLossyMaxBits) {
    return Unknown(text, "integers have 2 to 8 bits");
  }
  std::optional<uint32_t> block = kLossyDefaultBlock;
  if (colon != std::string_view::npos) block = WholeNumber(rest.substr(colon + 1));
  if (!block.has_value() || *block < kLossyMinBlock || *block > kLossyMaxBlock || !std::has_single_bit(*block)) {
    return Unknown(text, "a block has a power of two from 16 to 4096 elements");
  }
  LossyOptions options;
  options.method = LossyChoice{LossyMethod::kBlocks, static_cast<uint8_t>(*bits), false, *block};
  return options;
}

std::string NameOfDelta(DeltaMethod method) {
  if (method == DeltaMethod::kInt4) return "delta int4";
  if (method == DeltaMethod::kSparse) return "delta sparse";
  return method == DeltaMethod::kOneBit ? "delta 1 bit" : "delta";
}

}  // namespace

std::string NameOf(const LossyChoice& choice) {
  switch (choice.method) {
    case LossyMethod::kF16:
      return "fp16";
    case LossyMethod::kBF16:
      return "bf16";
    case LossyMethod::kDelta:
      return NameOfDelta(static_cast<DeltaMethod>(choice.bits));
    case LossyMethod::kBlocks:
      break;
  }
  return "int" + std::to_string(choice.bits) + "/" + std::to_string(choice.block) + (choice.has_minimum ? "+min" : "");
}

Result<LossyOptions> ParseLossyOptions(std::string_view text) {
  std::string lower = Lower(text);
  std::string_view name = lower;
  LossyOptions options;
  if (name == "fp16" || name == "f16") {
    options.method = LossyChoice{LossyMethod::kF16, 16, false, 0};
    return options;
  }
  if (name == "bf16") {
    options.method = LossyChoice{LossyMethod::kBF16, 16, false, 0};
    return options;
  }
  if (name.starts_with("auto=")) return ParseBudget(text, name.substr(5));
  if (name.starts_with("int")) return ParseBlocks(text, name.substr(3));
  return Unknown(text, "unknown");
}

}  // namespace flyweight
