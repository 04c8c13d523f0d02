#include "delta/identity.h"

#include <algorithm>
#include <tuple>

#include "base/bytes.h"

namespace flyweight {

void IdentityBuilder::AddTensor(const std::string& name, DType dtype, const Shape& shape, const Digest& digest) {
  ByteWriter rest;
  rest.Write(static_cast<uint16_t>(dtype));
  rest.Write(static_cast<uint8_t>(shape.size()));
  for (uint64_t dimension : shape) rest.Write(dimension);
  rest.Append(digest);
  tensors_.push_back({name, rest.Release()});
}

void IdentityBuilder::AddFile(const Digest& sha256) { files_.push_back(sha256); }

Digest IdentityBuilder::Finish() {
  Sha256Stream hash;
  if (tensors_.empty()) {
    std::ranges::sort(files_);
    for (const Digest& sha256 : files_) hash.Update(sha256);
    return hash.Finish();
  }
  // std::string compares as unsigned bytes, and so do vectors of std::byte.
  std::ranges::sort(
      tensors_, [](const Tensor& a, const Tensor& b) { return std::tie(a.name, a.rest) < std::tie(b.name, b.rest); });
  for (const Tensor& tensor : tensors_) {
    ByteWriter start;
    start.Write(static_cast<uint32_t>(tensor.name.size()));
    start.Append(AsBytes(tensor.name));
    hash.Update(start.bytes());
    hash.Update(tensor.rest);
  }
  return hash.Finish();
}

std::optional<Digest> IdentityOf(const ArchiveIndex& index) {
  IdentityBuilder identity;
  bool has_tensors = false;
  bool has_all_files = true;
  for (const IndexFile& file : index.files) {
    for (const IndexExtent& extent : file.extents) {
      if (!extent.is_tensor) continue;
      if (extent.digest_algorithm != DigestAlgorithm::kSha256Tree) return std::nullopt;
      has_tensors = true;
      identity.AddTensor(extent.name, extent.dtype, extent.shape, extent.digest);
    }
    if (file.entry.kind != EntryKind::kFile) continue;
    has_all_files = has_all_files && file.has_sha256;
    identity.AddFile(file.sha256);
  }
  if (!has_tensors && !has_all_files) return std::nullopt;
  return identity.Finish();
}

}  // namespace flyweight
