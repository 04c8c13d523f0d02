#pragma once

#include <nanobind/nanobind.h>

namespace flyweight::python {

void BindScan(nanobind::module_& module);

}  // namespace flyweight::python
