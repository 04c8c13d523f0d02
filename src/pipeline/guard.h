#pragma once

#include <exception>
#include <new>
#include <string>

#include "flyweight/result.h"

namespace flyweight {

/// Calls `function`, which returns a Status or a Result, and turns the exceptions that the standard library may throw
/// into errors. Every public function and every parallel step goes through it: no exception leaves the library.
template <typename Function>
auto Guarded(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOutOfMemory, 0, "out of memory"};
  } catch (const std::exception& exception) {
    return Error{ErrorCode::kInternal, 0, std::string("unexpected: ") + exception.what()};
  }
}

}  // namespace flyweight
