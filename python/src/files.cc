#include "files.h"

#include <nanobind/stl/string.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flyweight/diff.h"
#include "flyweight/patch.h"
#include "flyweight/pipeline.h"
#include "raise.h"

namespace nb = nanobind;

namespace flyweight::python {
namespace {

/// Calls `verb` without the GIL and returns its value, or raises.
template <typename Verb>
auto Call(const Verb& verb, const std::string& path) {
  std::optional<decltype(verb())> result;
  {
    nb::gil_scoped_release unlocked;
    result.emplace(verb());
  }
  return Unwrap(std::move(*result), path);
}

nb::dict CompressPaths(const nb::list& sources, const nb::bytes& target, const nb::list& bases, unsigned level,
                       size_t threads, bool overwrite, const std::string& lossy_delta) {
  if (level > static_cast<unsigned>(Level::kMax)) throw nb::value_error("unknown level");
  CompressOptions options;
  options.thread_count = threads;
  options.level = static_cast<Level>(level);
  options.overwrite = overwrite;
  options.bases = ToStrings(bases);
  if (!lossy_delta.empty()) options.lossy.delta = Unwrap(ParseLossyDelta(lossy_delta), {});
  std::vector<std::string> paths = ToStrings(sources);
  std::string target_path = ToString(target);
  CompressSummary summary = Call([&] { return flyweight::Compress(paths, target_path, options); }, {});
  nb::dict row;
  row["source_bytes"] = summary.source_bytes;
  row["archive_bytes"] = summary.archive_bytes;
  row["files"] = summary.file_count;
  row["tensors"] = summary.tensor_count;
  return row;
}

nb::dict List(const nb::bytes& path) {
  std::string archive = ToString(path);
  ArchiveListing listing = Call([&] { return ListArchive(archive); }, archive);
  nb::dict result;
  result["archive_bytes"] = listing.archive_bytes;
  result["identity"] = listing.identity_hex;
  result["base_name"] = listing.base.has_value() ? listing.base->name : std::string();
  result["base_identity"] = listing.base.has_value() ? listing.base->identity_hex : std::string();
  nb::dict tensors;
  for (const ListedTensor& extent : listing.extents) {
    if (!extent.is_tensor) continue;
    nb::dict row;
    row["dtype"] = std::string(Describe(extent.dtype).name);
    nb::list shape;
    for (uint64_t dimension : extent.shape) shape.append(dimension);
    row["shape"] = shape;
    row["stored_bytes"] = extent.stored_bytes;
    if (extent.lossy.has_value()) {
      row["lossy"] = extent.lossy->method;
      row["max_error"] = extent.lossy->max_error;
      row["rms_error"] = extent.lossy->rms_error;
      if (extent.lossy->relative_error.has_value()) row["relative_error"] = *extent.lossy->relative_error;
    }
    tensors[nb::str(extent.name.data(), extent.name.size())] = row;
  }
  result["tensors"] = tensors;
  return result;
}

nb::dict Restored(const DecompressSummary& summary) {
  nb::dict row;
  row["archive_bytes"] = summary.archive_bytes;
  row["file_bytes"] = summary.file_bytes;
  row["files"] = summary.file_count;
  return row;
}

nb::dict DecompressPath(const nb::bytes& source, const nb::bytes& target, const nb::list& bases, size_t threads,
                        bool overwrite) {
  DecompressOptions options;
  options.thread_count = threads;
  options.overwrite = overwrite;
  options.bases = ToStrings(bases);
  std::string path = ToString(source), target_path = ToString(target);
  return Restored(Call([&] { return DecompressFile(path, target_path, options); }, path));
}

nb::dict Apply(const nb::bytes& base, const nb::list& patches, const nb::bytes& target, size_t threads,
               bool overwrite) {
  DecompressOptions options;
  options.thread_count = threads;
  options.overwrite = overwrite;
  std::string base_path = ToString(base), target_path = ToString(target);
  std::vector<std::string> paths = ToStrings(patches);
  return Restored(Call([&] { return ApplyPatches(base_path, paths, target_path, options); }, {}));
}

nb::dict Verify(const nb::bytes& source, size_t threads, const nb::list& bases) {
  VerifyOptions options;
  options.thread_count = threads;
  options.bases = ToStrings(bases);
  std::string path = ToString(source);
  VerifySummary summary = Call([&] { return VerifyFile(path, options); }, path);
  nb::dict row;
  row["archive_bytes"] = summary.archive_bytes;
  row["file_bytes"] = summary.file_bytes;
  row["files"] = summary.file_count;
  row["chunks"] = summary.chunk_count;
  row["checked"] = summary.checked_count;
  row["lacks_base"] = summary.lacks_base;
  return row;
}

nb::str Identity(const nb::list& paths, size_t threads) {
  std::vector<std::string> names = ToStrings(paths);
  return DecodeText(Call([&] { return IdentityOfModel(names, threads); }, {}));
}

nb::tuple ShapeTuple(const Shape& shape) {
  nb::list dimensions;
  for (uint64_t dimension : shape) dimensions.append(dimension);
  return nb::tuple(dimensions);
}

nb::str Text(std::string_view text) { return nb::str(text.data(), text.size()); }

nb::dict Row(const TensorDiff& tensor) {
  nb::dict row;
  row["name"] = DecodeText(tensor.name);
  row["file"] = DecodeText(tensor.file);
  row["kind"] = Text(DiffKindName(tensor.kind));
  row["base_name"] = DecodeText(tensor.base_name);
  row["dtype"] = Text(Describe(tensor.dtype).name);
  row["base_dtype"] = Text(Describe(tensor.base_dtype).name);
  row["shape"] = ShapeTuple(tensor.shape);
  row["base_shape"] = ShapeTuple(tensor.base_shape);
  row["bytes"] = tensor.size_bytes;
  row["compared"] = tensor.compared_count;
  row["changed"] = tensor.changed_count;
  if (!tensor.has_values) return row;
  row["largest_ulps"] = tensor.largest_ulps;
  row["largest_difference"] = tensor.largest_difference;
  row["rms_difference"] = tensor.rms_difference;
  row["relative_difference"] = tensor.relative_difference;
  return row;
}

nb::dict Diff(const nb::bytes& base, const nb::bytes& variant, size_t threads, const nb::list& patterns) {
  DiffOptions options;
  options.thread_count = threads;
  options.tensors = ToStrings(patterns);
  std::string left = ToString(base), right = ToString(variant);
  DiffReport report = Call([&] { return DiffModels(left, right, options); }, {});
  nb::list tensors, files;
  for (const TensorDiff& tensor : report.tensors) tensors.append(Row(tensor));
  for (const FileDiff& file : report.files) {
    nb::dict row;
    row["name"] = DecodeText(file.name);
    row["kind"] = Text(DiffKindName(file.kind));
    row["is_rest"] = file.is_rest;
    files.append(row);
  }
  nb::dict result;
  result["same"] = report.is_same();
  result["tensors"] = tensors;
  result["files"] = files;
  return result;
}

}  // namespace

void BindFiles(nb::module_& module) {
  module.def("compress_paths", &CompressPaths, nb::arg("sources"), nb::arg("target"), nb::arg("bases"),
             nb::arg("level"), nb::arg("threads"), nb::arg("overwrite"), nb::arg("lossy_delta") = "",
             nb::sig("def compress_paths(sources: list[bytes], target: bytes, bases: list[bytes], level: int, "
                     "threads: int, overwrite: bool, lossy_delta: str = '') -> dict[str, int]"),
             "Compresses files or directories into one archive; with bases, what changed against them.");
  module.def("list_archive", &List, nb::arg("path"), nb::sig("def list_archive(path: bytes) -> dict[str, object]"),
             "What an archive's index says of it, of what it stands on and of its tensors.");
  module.def("decompress_path", &DecompressPath, nb::arg("source"), nb::arg("target"), nb::arg("bases"),
             nb::arg("threads"), nb::arg("overwrite"),
             nb::sig("def decompress_path(source: bytes, target: bytes, bases: list[bytes], threads: int, "
                     "overwrite: bool) -> dict[str, int]"),
             "Restores what an archive holds.");
  module.def("apply_patches", &Apply, nb::arg("base"), nb::arg("patches"), nb::arg("target"), nb::arg("threads"),
             nb::arg("overwrite"),
             nb::sig("def apply_patches(base: bytes, patches: list[bytes], target: bytes, threads: int, "
                     "overwrite: bool) -> dict[str, int]"),
             "Restores what the last patch gives.");
  module.def("verify", &Verify, nb::arg("path"), nb::arg("threads"), nb::arg("bases") = nb::list(),
             nb::sig("def verify(path: bytes, threads: int, bases: list[bytes] = []) -> dict[str, int]"),
             "Decodes an archive wholly and checks everything that can be checked.");
  module.def("identity", &Identity, nb::arg("paths"), nb::arg("threads"),
             nb::sig("def identity(paths: list[bytes], threads: int) -> str"),
             "The identity of a model, or of what patches on it give.");
  module.def("diff", &Diff, nb::arg("base"), nb::arg("variant"), nb::arg("threads"), nb::arg("tensors"),
             nb::sig("def diff(base: bytes, variant: bytes, threads: int, tensors: list[bytes]) -> dict[str, object]"),
             "What differs between two models.");
}

}  // namespace flyweight::python
