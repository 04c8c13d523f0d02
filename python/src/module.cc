#include <nanobind/nanobind.h>

#include "archive.h"
#include "compress.h"
#include "files.h"
#include "scan.h"
#include "sync.h"

NB_MODULE(_core, module) {
  module.doc() = "The native half of flyweight. Not a public interface: use the package.";
  module.attr("version") = FLYWEIGHT_VERSION;
  flyweight::python::BindCompress(module);
  flyweight::python::BindFiles(module);
  flyweight::python::BindScan(module);
  flyweight::python::BindArchive(module);
  flyweight::python::BindByteDelta(module);
  flyweight::python::BindPatchBuffer(module);
}
