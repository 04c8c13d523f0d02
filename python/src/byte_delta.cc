#include "flyweight/byte_delta.h"

#include <optional>
#include <utility>

#include "buffers.h"
#include "raise.h"
#include "sync.h"

namespace nb = nanobind;

namespace flyweight::python {
namespace {

nb::bytes ToBytes(std::span<const std::byte> bytes) {
  return nb::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

using Encoder = Result<std::vector<std::byte>> (*)(std::span<const std::byte>, std::span<const std::byte>, int);

template <Encoder encode>
nb::bytes Encode(const ReadBuffer& current, const ReadBuffer& base, int level) {
  std::optional<Result<std::vector<std::byte>>> frame;
  {
    nb::gil_scoped_release unlocked;
    frame.emplace(encode(Bytes(current), Bytes(base), level));
  }
  return ToBytes(Unwrap(std::move(*frame)));
}

void ApplyXor(const ReadBuffer& frame, const WriteBuffer& target) {
  Status status;
  {
    nb::gil_scoped_release unlocked;
    status = ApplyXorDelta(Bytes(frame), MutableBytes(target));
  }
  Check(status);
}

/// What undoes it; a class so that the bytes need no copy on their way through Python.
OverwriteUndo ApplyOverwrite(const ReadBuffer& frame, const WriteBuffer& target) {
  std::optional<Result<OverwriteUndo>> undo;
  {
    nb::gil_scoped_release unlocked;
    undo.emplace(ApplyOverwriteDelta(Bytes(frame), MutableBytes(target)));
  }
  return Unwrap(std::move(*undo));
}

nb::bytes Checksum(const ReadBuffer& data) {
  std::array<std::byte, 16> digest;
  {
    nb::gil_scoped_release unlocked;
    digest = WideChecksum(Bytes(data));
  }
  return ToBytes(digest);
}

bool Equal(const ReadBuffer& left, const ReadBuffer& right) {
  nb::gil_scoped_release unlocked;
  return SameBytes(Bytes(left), Bytes(right));
}

}  // namespace

void BindByteDelta(nb::module_& module) {
  module.def("xor_delta", &Encode<EncodeXorDelta>, nb::arg("current").noconvert(), nb::arg("base").noconvert(),
             nb::arg("level"), nb::sig("def xor_delta(current: memoryview, base: memoryview, level: int) -> bytes"),
             "One zstd frame of current ^ base.");
  module.def("overwrite_delta", &Encode<EncodeOverwriteDelta>, nb::arg("current").noconvert(),
             nb::arg("base").noconvert(), nb::arg("level"),
             nb::sig("def overwrite_delta(current: memoryview, base: memoryview, level: int) -> bytes"),
             "One zstd frame of the bytes that changed, and where.");
  module.def("apply_xor", &ApplyXor, nb::arg("frame").noconvert(), nb::arg("target").noconvert(),
             nb::sig("def apply_xor(frame: memoryview, target: memoryview) -> None"),
             "target ^= the frame's content. Doing it again undoes it; after an error target is as it was.");
  nb::class_<OverwriteUndo>(module, "OverwriteUndo", "What undoes apply_overwrite.")
      .def(
          "undo",
          [](const OverwriteUndo& undo, const WriteBuffer& target) { UndoOverwriteDelta(undo, MutableBytes(target)); },
          nb::arg("target").noconvert(), nb::sig("def undo(self, target: memoryview) -> None"));
  module.def("apply_overwrite", &ApplyOverwrite, nb::arg("frame").noconvert(), nb::arg("target").noconvert(),
             nb::sig("def apply_overwrite(frame: memoryview, target: memoryview) -> OverwriteUndo"),
             "Puts the changed bytes into target. After an error target is as it was.");
  module.def("equal", &Equal, nb::arg("left").noconvert(), nb::arg("right").noconvert(),
             nb::sig("def equal(left: memoryview, right: memoryview) -> bool"), "Whether both hold the same bytes.");
  module.def("wide_checksum", &Checksum, nb::arg("data").noconvert(),
             nb::sig("def wide_checksum(data: memoryview) -> bytes"), "XXH3 with 128 bits, in the order of its text.");
}

}  // namespace flyweight::python
