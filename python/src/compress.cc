#include "compress.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "buffers.h"
#include "flyweight/pipeline.h"
#include "raise.h"

namespace nb = nanobind;

namespace flyweight::python {
namespace {

DType DTypeOf(const std::string& name) {
  std::optional<DType> dtype = FindDType(name);
  if (!dtype.has_value()) throw nb::value_error(("unknown dtype '" + name + "'").c_str());
  return *dtype;
}

constexpr unsigned kBalanced = static_cast<unsigned>(Level::kBalanced);

/// A level by its number in Level. Errors: ValueError.
Level LevelOf(unsigned number) {
  if (number > static_cast<unsigned>(Level::kMax)) throw nb::value_error("unknown level");
  return static_cast<Level>(number);
}

nb::bytes Compress(const ReadBuffer& data, const std::string& dtype, Shape shape, size_t threads, unsigned level) {
  Level effort = LevelOf(level);
  TensorView tensor{.name = {}, .dtype = DTypeOf(dtype), .shape = std::move(shape), .bytes = Bytes(data)};
  OutputBytes output(CompressBound(tensor.bytes.size()));
  Status status;
  {
    nb::gil_scoped_release unlocked;
    status =
        CompressBuffer(tensor, effort, threads, [&](std::span<const std::byte> bytes) { return output.Append(bytes); });
  }
  Check(status);
  return output.Release();
}

nb::bytes CompressFileToBytes(const ReadBuffer& file, const nb::bytes& name, size_t threads, unsigned level) {
  Level effort = LevelOf(level);
  std::string file_name = ToString(name);
  OutputBytes output(CompressBound(Bytes(file).size()));
  Status status;
  {
    nb::gil_scoped_release unlocked;
    status = CompressFileBytes(Bytes(file), file_name, effort, threads,
                               [&](std::span<const std::byte> bytes) { return output.Append(bytes); });
  }
  Check(status);
  return output.Release();
}

Status WriteAll(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return Error{ErrorCode::kIo, 0, std::string("cannot write the archive: ") + std::strerror(errno)};
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return Status::Ok();
}

void CompressFileToDescriptor(const ReadBuffer& file, const nb::bytes& name, int descriptor, const nb::bytes& path,
                              size_t threads, unsigned level) {
  Level effort = LevelOf(level);
  std::string file_name = ToString(name);
  Status status;
  {
    nb::gil_scoped_release unlocked;
    status = CompressFileBytes(Bytes(file), file_name, effort, threads,
                               [&](std::span<const std::byte> bytes) { return WriteAll(descriptor, bytes); });
  }
  Check(status, ToString(path));
}

nb::list DTypes() {
  nb::list rows;
  for (int number = 0; number <= static_cast<int>(DType::kF6E3M2); number++) {
    const DTypeInfo& info = Describe(static_cast<DType>(number));
    rows.append(nb::make_tuple(nb::str(info.name.data(), info.name.size()), info.bits));
  }
  return rows;
}

nb::object DTypeName(const std::string& name) {
  std::optional<DType> dtype = FindDType(name);
  if (!dtype.has_value()) return nb::none();
  const DTypeInfo& info = Describe(*dtype);
  return nb::str(info.name.data(), info.name.size());
}

}  // namespace

void BindCompress(nb::module_& module) {
  module.def(
      "compress", &Compress, nb::arg("data").noconvert(), nb::arg("dtype"), nb::arg("shape"), nb::arg("threads"),
      nb::arg("level") = kBalanced,
      nb::sig("def compress(data: memoryview, dtype: str, shape: list[int], threads: int, level: int = 1) -> bytes"),
      "An archive of one unnamed tensor. An empty shape means one dimension.");
  module.def(
      "compress_file_to_bytes", &CompressFileToBytes, nb::arg("file").noconvert(), nb::arg("file_name"),
      nb::arg("threads"), nb::arg("level") = kBalanced,
      nb::sig("def compress_file_to_bytes(file: memoryview, file_name: bytes, threads: int, level: int = 1) -> bytes"),
      "An archive of a file that is in memory.");
  module.def(
      "compress_file_to_descriptor", &CompressFileToDescriptor, nb::arg("file").noconvert(), nb::arg("file_name"),
      nb::arg("descriptor"), nb::arg("path"), nb::arg("threads"), nb::arg("level") = kBalanced,
      nb::sig("def compress_file_to_descriptor(file: memoryview, file_name: bytes, descriptor: int, path: bytes, "
              "threads: int, level: int = 1) -> None"),
      "Writes the archive of a file that is in memory to an open descriptor; path only names it in errors.");
  module.def("dtypes", &DTypes, nb::sig("def dtypes() -> list[tuple[str, int]]"), "Name and bits of every dtype.");
  module.def("dtype_name", &DTypeName, nb::arg("name"), nb::sig("def dtype_name(name: str) -> str | None"),
             "The dtype's name for any of its aliases.");
}

}  // namespace flyweight::python
