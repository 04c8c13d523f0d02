#pragma once

#include <nanobind/nanobind.h>

namespace flyweight::python {

/// Verbs over files: compressing, restoring, patches, verifying, comparing.
void BindFiles(nanobind::module_& module);

}  // namespace flyweight::python
