#include "archive.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "buffers.h"
#include "flyweight/pipeline.h"
#include "raise.h"

namespace nb = nanobind;

namespace flyweight::python {
namespace {

/// An Archive and what it reads from: a path for messages, or the buffer it must not outlive.
class OpenArchive {
 public:
  static OpenArchive FromPath(const nb::bytes& path_bytes, const nb::list& base_paths) {
    std::string path = ToString(path_bytes);
    std::vector<std::string> bases = ToStrings(base_paths);
    std::optional<Result<Archive>> archive;
    {
      nb::gil_scoped_release unlocked;
      archive.emplace(Archive::OpenPath(path, bases));
    }
    return OpenArchive(Unwrap(std::move(*archive), path), path, {});
  }

  static OpenArchive FromBytes(const ReadBuffer& bytes) {
    std::optional<Result<Archive>> archive;
    {
      nb::gil_scoped_release unlocked;
      archive.emplace(Archive::OpenBytes(Bytes(bytes)));
    }
    return OpenArchive(Unwrap(std::move(*archive)), {}, bytes);
  }

  /// Of a tree, nothing: it has no name, format or SHA-256 of its own.
  ListedFile OnlyFile() const {
    return listing().is_tree || listing().files.empty() ? ListedFile() : listing().files.front();
  }

  nb::str FileName() const { return DecodeText(OnlyFile().name); }
  nb::str ContainerFormat() const { return DecodeText(OnlyFile().container_format); }
  nb::str Sha256() const { return DecodeText(OnlyFile().sha256_hex); }
  uint64_t FileBytes() const { return archive_.file_bytes(); }
  uint64_t ArchiveBytes() const { return listing().archive_bytes; }

  nb::list Damage() const {
    nb::list lines;
    for (const std::string& line : listing().damage) lines.append(DecodeText(line));
    return lines;
  }

  nb::list Extents() const {
    nb::list rows;
    for (const ListedTensor& extent : listing().extents) {
      nb::list shape;
      for (uint64_t dimension : extent.shape) shape.append(dimension);
      std::string_view dtype = Describe(extent.dtype).name;
      rows.append(nb::make_tuple(extent.is_tensor, DecodeText(extent.name), nb::str(dtype.data(), dtype.size()),
                                 nb::tuple(shape), extent.decoded_bytes, extent.stored_bytes));
    }
    return rows;
  }

  /// (kind, name in the base, digest) of each extent; kind: "" stored, "same" as the base's, "patch".
  nb::list ExtentOrigins() const {
    constexpr const char* kKinds[] = {"", "same", "patch"};
    nb::list rows;
    for (const ListedTensor& extent : listing().extents) {
      rows.append(nb::make_tuple(kKinds[static_cast<size_t>(extent.patch)], DecodeText(extent.base_name),
                                 DecodeText(extent.digest_hex)));
    }
    return rows;
  }

  /// (name, identity, parts that are needed), or None.
  nb::object Base() const {
    const std::optional<ListedBase>& base = listing().base;
    if (!base.has_value()) return nb::none();
    return nb::make_tuple(DecodeText(base->name), DecodeText(base->identity_hex), base->part_count);
  }
  nb::str Identity() const { return DecodeText(listing().identity_hex); }

  bool IsTree() const { return listing().is_tree; }

  nb::list FileNames() const {
    nb::list names;
    for (const ListedFile& file : listing().files) names.append(DecodeText(file.name));
    return names;
  }

  nb::list ExtentFiles() const {
    nb::list files;
    for (const ListedTensor& extent : listing().extents) files.append(extent.file);
    return files;
  }

  void DecodeExtent(size_t extent_index, uint64_t begin, const WriteBuffer& target, size_t threads) const {
    Status status;
    {
      nb::gil_scoped_release unlocked;
      status = archive_.DecodeExtent(extent_index, begin, MutableBytes(target), threads);
    }
    Check(status, path_);
  }

  void DecodeInto(const WriteBuffer& target, size_t threads) const {
    Status status;
    {
      nb::gil_scoped_release unlocked;
      status = archive_.DecodeFile(MutableBytes(target), threads, true);
    }
    Check(status, path_);
  }

  nb::bytes Decode(size_t threads) const {
    OutputBytes output(FileBytes());
    Status status;
    {
      nb::gil_scoped_release unlocked;
      status = archive_.DecodeFile(output.Whole(), threads, true);
    }
    Check(status, path_);
    return output.ReleaseWhole();
  }

 private:
  OpenArchive(Archive archive, std::string path, ReadBuffer bytes)
      : bytes_(std::move(bytes)), archive_(std::move(archive)), path_(std::move(path)) {}

  const ArchiveListing& listing() const { return archive_.listing(); }

  ReadBuffer bytes_;
  Archive archive_;
  std::string path_;
};

}  // namespace

void BindArchive(nb::module_& module) {
  nb::class_<OpenArchive>(module, "Archive",
                          "An archive in a file or in memory. Any number of threads may decode from it.")
      .def_static("from_path", &OpenArchive::FromPath, nb::arg("path"), nb::arg("bases") = nb::list(),
                  nb::sig("def from_path(path: bytes, bases: list[bytes] = []) -> Archive"),
                  "Opens an archive; a patch with the base and the patches it stands on.")
      .def_static("from_bytes", &OpenArchive::FromBytes, nb::arg("data").noconvert(),
                  nb::sig("def from_bytes(data: memoryview) -> Archive"))
      .def_prop_ro("file_name", &OpenArchive::FileName)
      .def_prop_ro("container_format", &OpenArchive::ContainerFormat)
      .def_prop_ro("sha256", &OpenArchive::Sha256)
      .def_prop_ro("is_tree", &OpenArchive::IsTree)
      .def_prop_ro("file_bytes", &OpenArchive::FileBytes)
      .def_prop_ro("archive_bytes", &OpenArchive::ArchiveBytes)
      .def("damage", &OpenArchive::Damage, nb::sig("def damage(self) -> list[str]"))
      .def("extents", &OpenArchive::Extents,
           nb::sig("def extents(self) -> list[tuple[bool, str, str, tuple[int, ...], int, int]]"),
           "(is_tensor, name, dtype, shape, decoded bytes, stored bytes) of each extent, in file order.")
      .def("file_names", &OpenArchive::FileNames, nb::sig("def file_names(self) -> list[str]"),
           "The names of the files; in a tree the paths of its entries.")
      .def("extent_files", &OpenArchive::ExtentFiles, nb::sig("def extent_files(self) -> list[int]"),
           "The number of the file that each extent belongs to.")
      .def("extent_origins", &OpenArchive::ExtentOrigins,
           nb::sig("def extent_origins(self) -> list[tuple[str, str, str]]"),
           "(kind, name in the base, digest) of each extent; kind is \"\", \"same\" or \"patch\".")
      .def_prop_ro("base", &OpenArchive::Base, nb::sig("def base(self) -> tuple[str, str, int] | None"),
                   "Name, identity and number of parts of what a patch stands on.")
      .def_prop_ro("identity", &OpenArchive::Identity)
      .def("decode_extent", &OpenArchive::DecodeExtent, nb::arg("extent_index"), nb::arg("begin"),
           nb::arg("target").noconvert(), nb::arg("threads"),
           nb::sig("def decode_extent(self, extent_index: int, begin: int, target: memoryview, threads: int) -> None"),
           "Fills target from byte `begin` of an extent.")
      .def("decode_into", &OpenArchive::DecodeInto, nb::arg("target").noconvert(), nb::arg("threads"),
           nb::sig("def decode_into(self, target: memoryview, threads: int) -> None"),
           "Fills target with the whole file.")
      .def("decode", &OpenArchive::Decode, nb::arg("threads"), "The whole file.");
}

}  // namespace flyweight::python
