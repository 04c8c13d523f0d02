#include "raise.h"

namespace nb = nanobind;

namespace flyweight::python {

void Raise(const Error& error, const std::string& path) {
  nb::object file_name = path.empty() ? nb::object(nb::none()) : nb::object(DecodeText(path));
  nb::object exception =
      nb::module_::import_("flyweight._errors")
          .attr("make_error")(static_cast<int>(error.code), DecodeText(error.message), error.offset, file_name);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw nb::python_error();
}

nb::str DecodeText(const std::string& text) {
  PyObject* decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape");
  if (decoded == nullptr) throw nb::python_error();
  return nb::steal<nb::str>(decoded);
}

}  // namespace flyweight::python
