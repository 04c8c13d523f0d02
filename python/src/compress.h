#pragma once

#include <nanobind/nanobind.h>

namespace flyweight::python {

/// Everything that makes or checks archives, and the dtype table.
void BindCompress(nanobind::module_& module);

}  // namespace flyweight::python
