#include "container/zip.h"

#include <string>
#include <utility>
#include <vector>

#include "container/npy.h"
#include "container/torch_zip.h"
#include "container/zip_directory.h"

namespace flyweight {
namespace {

constexpr std::string_view kNpySuffix = ".npy";

/// Extents front to back; what lies between those that are added is raw, each gap an extent of its own.
class Cover {
 public:
  void RawUntil(uint64_t offset) {
    uint64_t end_offset = EndOffset();
    if (offset > end_offset)
      extents_.push_back({.offset = end_offset, .size_bytes = offset - end_offset, .name = {}, .shape = {}});
  }
  void Add(Extent extent) {
    RawUntil(extent.offset);
    extents_.push_back(std::move(extent));
  }
  uint64_t EndOffset() const { return extents_.empty() ? 0 : extents_.back().offset + extents_.back().size_bytes; }
  std::vector<Extent>& extents() { return extents_; }

 private:
  std::vector<Extent> extents_;
};

Extent RawExtent(const ZipMember& member) {
  return {.offset = member.data_offset, .size_bytes = member.size_bytes, .name = {}, .shape = {}};
}

struct Counts {
  size_t arrays = 0;
  size_t own_extents = 0;
};

/// Adds a member that is no tensor of PyTorch.
Status AddMember(const ByteSource& source, const ZipMember& member, Cover& cover, Counts& counts) {
  if (member.name.ends_with(kNpySuffix)) {
    std::string name(member.name.substr(0, member.name.size() - kNpySuffix.size()));
    cover.RawUntil(member.data_offset);
    FLYWEIGHT_ASSIGN(bool is_array,
                     AnnotateNpyAt(source, member.data_offset, member.size_bytes, name, cover.extents()));
    if (is_array) {
      counts.arrays++;
      return Status::Ok();
    }
  }
  if (member.size_bytes < kZipOwnExtentBytes) return Status::Ok();
  counts.own_extents++;
  cover.Add(RawExtent(member));
  return Status::Ok();
}

Result<std::optional<FileMap>> CoverTorch(const ByteSource& source, const ZipDirectory& directory,
                                          std::string_view root) {
  FLYWEIGHT_ASSIGN(std::vector<TorchStorage> storages, TypeTorchMembers(source, directory, root));
  Cover cover;
  for (size_t i = 0; i < storages.size(); i++) {
    const ZipMember& member = directory.members[i];
    uint64_t offset = member.data_offset;
    for (TorchTensor& tensor : storages[i].tensors) {
      cover.Add({.offset = offset,
                 .size_bytes = tensor.size_bytes,
                 .is_tensor = true,
                 .name = std::move(tensor.name),
                 .dtype = storages[i].dtype,
                 .shape = std::move(tensor.shape)});
      offset += tensor.size_bytes;
    }
    if (storages[i].tensors.empty() && member.size_bytes >= kZipOwnExtentBytes) cover.Add(RawExtent(member));
  }
  cover.RawUntil(source.size());
  return std::optional(FileMap{ContainerFormat::kTorchZip, std::move(cover.extents())});
}

Result<std::optional<FileMap>> CoverOther(const ByteSource& source, const ZipDirectory& directory) {
  Cover cover;
  Counts counts;
  for (const ZipMember& member : directory.members) FLYWEIGHT_TRY(AddMember(source, member, cover, counts));
  if (counts.arrays + counts.own_extents == 0) return std::optional<FileMap>();
  cover.RawUntil(source.size());
  ContainerFormat format = counts.arrays > 0 ? ContainerFormat::kNpz : ContainerFormat::kZip;
  return std::optional(FileMap{format, std::move(cover.extents())});
}

}  // namespace

Result<std::optional<FileMap>> AnnotateZip(const ByteSource& source, ByteSpan first_bytes) {
  FLYWEIGHT_ASSIGN(std::optional<ZipDirectory> directory, ReadZipDirectory(source, first_bytes));
  if (!directory.has_value()) return std::optional<FileMap>();
  std::string_view root = FindTorchRoot(*directory);
  return root.empty() ? CoverOther(source, *directory) : CoverTorch(source, *directory, root);
}

}  // namespace flyweight
