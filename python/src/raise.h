#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <utility>
#include <vector>

#include "flyweight/result.h"

namespace flyweight::python {

/// Throws the Python exception that stands for `error`; flyweight._errors.make_error decides which. `path` is empty
/// where no file is concerned. Precondition: the GIL is held.
[[noreturn]] void Raise(const Error& error, const std::string& path);

/// Raises where the status is an error. Precondition: the GIL is held.
inline void Check(const Status& status, const std::string& path = {}) {
  if (!status.ok()) Raise(status.error(), path);
}

/// The value, or raises. Precondition: the GIL is held.
template <typename T>
T Unwrap(Result<T> result, const std::string& path = {}) {
  if (!result.ok()) Raise(result.error(), path);
  return std::move(result).value();
}

/// Text for Python from bytes of any encoding: what is not UTF-8 becomes surrogate escapes, as in file names.
nanobind::str DecodeText(const std::string& text);

/// Paths and names come from Python as bytes (os.fsencode), so that any name the file system has can be passed.
inline std::string ToString(const nanobind::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

inline std::vector<std::string> ToStrings(const nanobind::list& list) {
  std::vector<std::string> strings;
  for (nanobind::handle item : list) strings.push_back(ToString(nanobind::cast<nanobind::bytes>(item)));
  return strings;
}

}  // namespace flyweight::python
