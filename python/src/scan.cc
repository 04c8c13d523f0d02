#include "scan.h"

#include <optional>
#include <string>
#include <utility>

#include "buffers.h"
#include "flyweight/scan.h"
#include "raise.h"

namespace nb = nanobind;

namespace flyweight::python {
namespace {

nb::dict ByLevel(const BytesByLevel& bytes) {
  nb::dict levels;
  for (Level level : kAllLevels) {
    std::string_view name = LevelName(level);
    levels[nb::str(name.data(), name.size())] = bytes[static_cast<size_t>(level)];
  }
  return levels;
}

nb::dict DescribeTensor(const ScanReport& report, const ScannedExtent& extent) {
  nb::list shape;
  for (uint64_t dimension : extent.shape) shape.append(dimension);
  std::string_view dtype = Describe(extent.dtype).name;
  nb::dict row;
  row["name"] = DecodeText(extent.name);
  row["file"] = DecodeText(report.files[extent.file]);
  row["dtype"] = nb::str(dtype.data(), dtype.size());
  row["shape"] = nb::tuple(shape);
  row["bytes"] = extent.size_bytes;
  row["levels"] = ByLevel(extent.estimated_bytes);
  row["reason"] = DecodeText(extent.reason);
  row["same_as"] = extent.same_as.has_value() ? nb::object(DecodeText(report.extents[*extent.same_as].name))
                                              : nb::object(nb::none());
  return row;
}

nb::dict Scan(const nb::bytes& path_bytes, size_t threads) {
  std::string path = ToString(path_bytes);
  ScanOptions options;
  options.thread_count = threads;
  std::optional<Result<ScanReport>> result;
  {
    nb::gil_scoped_release unlocked;
    result.emplace(ScanFile(path, options));
  }
  ScanReport report = Unwrap(std::move(*result), path);
  nb::list tensors;
  for (const ScannedExtent& extent : report.extents) {
    if (extent.is_tensor) tensors.append(DescribeTensor(report, extent));
  }
  nb::dict described;
  described["container_format"] = DecodeText(report.container_format);
  described["file_bytes"] = report.file_bytes;
  described["sampled_bytes"] = report.sampled_bytes;
  described["levels"] = ByLevel(report.estimated_bytes);
  described["tensors"] = tensors;
  return described;
}

}  // namespace

void BindScan(nb::module_& module) {
  module.def("scan", &Scan, nb::arg("path"), nb::arg("threads"),
             nb::sig("def scan(path: bytes, threads: int) -> dict[str, object]"),
             "How small each level would make a file or a directory, and why.");
}

}  // namespace flyweight::python
