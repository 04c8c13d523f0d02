#pragma once

#include <nanobind/nanobind.h>

namespace flyweight::python {

/// The class Archive: random access to an archive in a file or in memory.
void BindArchive(nanobind::module_& module);

}  // namespace flyweight::python
