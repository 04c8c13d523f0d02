#pragma once

#include <nanobind/nanobind.h>

namespace flyweight::python {

/// Differences of tensors in memory: byte deltas as others exchange them.
void BindByteDelta(nanobind::module_& module);

/// Patches of tensors in memory.
void BindPatchBuffer(nanobind::module_& module);

}  // namespace flyweight::python
