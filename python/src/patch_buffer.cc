#include "flyweight/patch_buffer.h"

#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "buffers.h"
#include "raise.h"
#include "sync.h"

namespace nb = nanobind;

namespace flyweight::python {
namespace {

Shape ShapeOf(const nb::handle& dimensions) {
  Shape shape;
  for (nb::handle dimension : nb::cast<nb::tuple>(dimensions)) shape.push_back(nb::cast<uint64_t>(dimension));
  return shape;
}

DType DTypeOf(const nb::handle& name) {
  std::optional<DType> dtype = FindDType(nb::cast<std::string>(name));
  if (!dtype.has_value()) throw nb::value_error("unknown dtype");
  return *dtype;
}

/// Rows (name, dtype, shape, bytes) as tensors; `buffers` keeps the bytes.
template <typename Tensor, typename Buffer>
std::vector<Tensor> TensorsOf(const nb::list& rows, std::vector<Buffer>& buffers) {
  std::vector<Tensor> tensors;
  buffers.reserve(rows.size());
  for (nb::handle row : rows) {
    nb::tuple fields = nb::cast<nb::tuple>(row);
    if (fields.size() != 4) throw nb::value_error("a tensor is (name, dtype, shape, bytes)");
    buffers.push_back(nb::cast<Buffer>(fields[3], false));
    Tensor tensor;
    tensor.name = ToString(nb::cast<nb::bytes>(fields[0]));
    tensor.dtype = DTypeOf(fields[1]);
    tensor.shape = ShapeOf(fields[2]);
    if constexpr (std::is_same_v<Buffer, ReadBuffer>) {
      tensor.bytes = Bytes(buffers.back());
    } else {
      tensor.bytes = MutableBytes(buffers.back());
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

nb::bytes Make(const nb::list& tensor_rows, const nb::list& base_rows, const nb::bytes& name,
               const nb::bytes& base_name, size_t threads, unsigned level) {
  std::vector<ReadBuffer> buffers, base_buffers;
  std::vector<TensorView> tensors = TensorsOf<TensorView>(tensor_rows, buffers);
  std::vector<TensorView> base = TensorsOf<TensorView>(base_rows, base_buffers);
  if (level > static_cast<unsigned>(Level::kMax)) throw nb::value_error("unknown level");
  MakePatchOptions options;
  options.level = static_cast<Level>(level);
  options.thread_count = threads;
  options.name = ToString(name);
  options.base_name = ToString(base_name);
  constexpr uint64_t kFirstBytes = uint64_t{1} << 20;
  OutputBytes output(kFirstBytes);
  Status status;
  {
    nb::gil_scoped_release unlocked;
    status = MakePatch(tensors, base, options, [&](std::span<const std::byte> bytes) { return output.Append(bytes); });
  }
  Check(status);
  return output.Release();
}

/// A TensorPatch and the buffer it reads.
class OpenPatch {
 public:
  explicit OpenPatch(const ReadBuffer& bytes) : bytes_(bytes) {
    std::optional<Result<TensorPatch>> patch;
    {
      nb::gil_scoped_release unlocked;
      patch.emplace(TensorPatch::Open(Bytes(bytes_)));
    }
    patch_.emplace(Unwrap(std::move(*patch)));
  }

  nb::str PatchName() const { return DecodeText(patch_->name()); }
  nb::str BaseName() const { return DecodeText(patch_->base_name()); }

  nb::list Tensors() const {
    nb::list rows;
    for (const PatchedTensor& tensor : patch_->tensors()) {
      rows.append(nb::make_tuple(DecodeText(tensor.name), Name(tensor.dtype), Tuple(tensor.shape), tensor.size_bytes,
                                 tensor.stored_bytes, tensor.needs_base, Name(tensor.base_dtype),
                                 Tuple(tensor.base_shape), tensor.base_bytes, tensor.is_in_place));
    }
    return rows;
  }

  nb::tuple Apply(const nb::list& target_rows, size_t threads, bool idempotent, bool check_first, bool check_result,
                  bool only_targets) const {
    std::vector<WriteBuffer> buffers;
    std::vector<TensorTarget> targets = TensorsOf<TensorTarget>(target_rows, buffers);
    ApplyOptions options;
    options.thread_count = threads;
    options.idempotent = idempotent;
    options.check_first = check_first;
    options.check_result = check_result;
    options.only_targets = only_targets;
    std::optional<Result<ApplySummary>> result;
    {
      nb::gil_scoped_release unlocked;
      result.emplace(patch_->ApplyInPlace(targets, options));
    }
    ApplySummary summary = Unwrap(std::move(*result));
    return nb::make_tuple(summary.chunk_count, summary.written_count, summary.done_count);
  }

  void Decode(size_t index, const ReadBuffer& base, const WriteBuffer& target, size_t threads) const {
    Status status;
    {
      nb::gil_scoped_release unlocked;
      status = patch_->Decode(index, Bytes(base), MutableBytes(target), threads);
    }
    Check(status);
  }

 private:
  static nb::str Name(DType dtype) {
    std::string_view name = Describe(dtype).name;
    return nb::str(name.data(), name.size());
  }
  static nb::tuple Tuple(const Shape& shape) {
    nb::list dimensions;
    for (uint64_t dimension : shape) dimensions.append(dimension);
    return nb::tuple(dimensions);
  }

  ReadBuffer bytes_;
  std::optional<TensorPatch> patch_;
};

}  // namespace

void BindPatchBuffer(nb::module_& module) {
  module.def("make_patch", &Make, nb::arg("tensors"), nb::arg("base"), nb::arg("name"), nb::arg("base_name"),
             nb::arg("threads"), nb::arg("level"),
             nb::sig("def make_patch(tensors: list[tuple[bytes, str, tuple[int, ...], memoryview]], "
                     "base: list[tuple[bytes, str, tuple[int, ...], memoryview]], name: bytes, base_name: bytes, "
                     "threads: int, level: int) -> bytes"),
             "The patch that makes tensors, (name, dtype, shape, bytes), from those of base.");
  nb::class_<OpenPatch>(module, "TensorPatch", "A patch of tensors in memory.")
      .def(nb::init<const ReadBuffer&>(), nb::arg("data").noconvert(), nb::sig("def __init__(self, data: memoryview)"))
      .def_prop_ro("name", &OpenPatch::PatchName)
      .def_prop_ro("base_name", &OpenPatch::BaseName)
      .def("tensors", &OpenPatch::Tensors,
           nb::sig("def tensors(self) -> list[tuple[str, str, tuple[int, ...], int, int, bool, str, tuple[int, ...], "
                   "int, bool]]"),
           "(name, dtype, shape, bytes, stored bytes, needs base, base dtype, base shape, base bytes, can be done in "
           "place) of each tensor.")
      .def("apply", &OpenPatch::Apply, nb::arg("targets"), nb::arg("threads"), nb::arg("idempotent"),
           nb::arg("check_first"), nb::arg("check_result"), nb::arg("only_targets"),
           nb::sig(
               "def apply(self, targets: list[tuple[bytes, str, tuple[int, ...], memoryview]], threads: int, "
               "idempotent: bool, check_first: bool, check_result: bool, only_targets: bool) -> tuple[int, int, int]"),
           "Changes targets in place. Returns how many chunks there are, were written, were done before.")
      .def("decode", &OpenPatch::Decode, nb::arg("index"), nb::arg("base").noconvert(), nb::arg("target").noconvert(),
           nb::arg("threads"),
           nb::sig("def decode(self, index: int, base: memoryview, target: memoryview, threads: int) -> None"),
           "Fills target with a tensor, made from base.");
}

}  // namespace flyweight::python
