#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "flyweight/error.h"

namespace flyweight {

/// A value or the Error that kept it from being made. Errors never travel as exceptions through this library.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Precondition: ok().
  T& value() & { return *std::get_if<0>(&state_); }
  const T& value() const& { return *std::get_if<0>(&state_); }
  T&& value() && { return std::move(*std::get_if<0>(&state_)); }

  /// Precondition: !ok().
  const Error& error() const { return *std::get_if<1>(&state_); }
  Error&& take_error() { return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success or an Error. `Status::Ok()` or a default-constructed Status is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  static Result Ok() { return {}; }
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }

  /// Precondition: !ok().
  const Error& error() const { return *error_; }
  Error&& take_error() { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

/// Puts where it happened in front of what happened: "tensor 'h.3.w': chunk 7: checksum mismatch".
inline Error WithContext(Error error, const std::string& where) {
  error.message = where + ": " + error.message;
  return error;
}

}  // namespace flyweight

#define FLYWEIGHT_CONCAT_INNER(a, b) a##b
#define FLYWEIGHT_CONCAT(a, b) FLYWEIGHT_CONCAT_INNER(a, b)

/// Returns the error of a Status expression to the caller, if it has one.
#define FLYWEIGHT_TRY(expression)                                     \
  do {                                                                \
    auto flyweight_status = (expression);                             \
    if (!flyweight_status.ok()) return flyweight_status.take_error(); \
  } while (false)

/// Declares or assigns `left` from a Result expression, or returns its error to the caller.
#define FLYWEIGHT_ASSIGN(left, expression) \
  FLYWEIGHT_ASSIGN_INNER(FLYWEIGHT_CONCAT(flyweight_result_, __LINE__), left, expression)
#define FLYWEIGHT_ASSIGN_INNER(result, left, expression) \
  auto result = (expression);                            \
  if (!result.ok()) return result.take_error();          \
  left = std::move(result).value()
