#include <charconv>
#include <cmath>
#include <string>

#include "flyweight/lossy.h"

namespace flyweight {
namespace {

Error Unknown(std::string_view text, const std::string& why) {
  return {ErrorCode::kInvalidArgument, 0,
          "lossy delta '" + std::string(text) + "': " + why +
              "; there are error=E, strategy=int4 with outliers=F, strategy=sparse with keep=F and strategy=one_bit, "
              "each with tensor=E"};
}

std::optional<double> NumberOf(std::string_view text) {
  double number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<DeltaMethod> MethodOf(std::string_view name) {
  if (name == "uniform") return DeltaMethod::kUniform;
  if (name == "int4") return DeltaMethod::kInt4;
  if (name == "sparse") return DeltaMethod::kSparse;
  if (name == "one_bit" || name == "1bit" || name == "quantized") return DeltaMethod::kOneBit;
  return std::nullopt;
}

// What of the keys was given.
struct Given {
  bool error = false, outliers = false, keep = false;
};

/// Takes one KEY=VALUE; returns what is wrong with it, or nothing.
std::string TakePair(std::string_view key, std::string_view value, LossyDeltaOptions& options, Given& given) {
  if (key == "strategy") {
    std::optional<DeltaMethod> method = MethodOf(value);
    if (!method.has_value()) return "unknown strategy";
    options.method = *method;
    return {};
  }
  std::optional<double> number = NumberOf(value);
  if (!number.has_value()) return "a value is no number";
  if (key == "error") {
    given.error = true;
    options.error = *number;
    return *number > 0 && *number < 1 ? "" : "an error is over 0 and under 1";
  }
  if (key == "tensor") {
    options.tensor_error = *number;
    return *number > 0 && *number <= 1 ? "" : "the error of a tensor is over 0 and at most 1";
  }
  if (key == "outliers" || key == "keep") {
    (key == "outliers" ? given.outliers : given.keep) = true;
    options.exact_fraction = *number;
    return *number >= 0 && *number <= 1 ? "" : "a part of the elements is 0 to 1";
  }
  return "unknown key";
}

}  // namespace

Result<LossyDeltaOptions> ParseLossyDelta(std::string_view text) {
  LossyDeltaOptions options;
  Given given;
  std::string_view rest = text;
  for (bool is_last = false; !is_last;) {
    size_t comma = rest.find(',');
    is_last = comma == std::string_view::npos;
    std::string_view pair = rest.substr(0, comma);
    if (!is_last) rest.remove_prefix(comma + 1);
    size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return Unknown(text, "not of the form KEY=VALUE");
    std::string wrong = TakePair(pair.substr(0, equals), pair.substr(equals + 1), options, given);
    if (!wrong.empty()) return Unknown(text, wrong);
  }
  if (given.error && options.method != DeltaMethod::kUniform) return Unknown(text, "this strategy takes no error");
  if (given.outliers && options.method != DeltaMethod::kInt4) return Unknown(text, "this strategy takes no outliers");
  if (given.keep && options.method != DeltaMethod::kSparse) return Unknown(text, "this strategy keeps no part");
  // The largest tenth is what such deltas are made with where nothing else is said.
  if (options.method == DeltaMethod::kSparse && !given.keep) options.exact_fraction = 0.1;
  return options;
}

}  // namespace flyweight
