#include "delta/model_archive.h"

#include <algorithm>
#include <utility>

#include "base/aligned_buffer.h"
#include "base/parts.h"
#include "delta/bind.h"
#include "delta/identity.h"

namespace flyweight {
namespace {

constexpr size_t kHashBytes = size_t{1} << 20;

}  // namespace

ArchiveModel::ArchiveModel(std::shared_ptr<const ByteSource> source, ArchiveReader reader, std::string name,
                           std::string member)
    : source_(std::move(source)), reader_(std::move(reader)), member_(std::move(member)) {
  name_ = std::move(name);
  if (member_.empty()) identity_ = IdentityOf(reader_.index());
  for (const IndexFile& file : reader_.index().files) {
    std::optional<std::string> path = PathInMember(file.name);
    if (!path.has_value()) continue;
    for (const IndexExtent& extent : file.extents) {
      if (!extent.is_tensor && extent.decoded_bytes < kModelPartMinBytes) continue;
      ModelPart part{extent.is_tensor,     extent.is_tensor ? extent.name : *path,
                     extent.dtype,         extent.shape,
                     extent.decoded_bytes, {}};
      if (extent.digest_algorithm == DigestAlgorithm::kSha256Tree) part.digest = extent.digest;
      parts_.push_back(std::move(part));
      extents_.push_back(&extent);
    }
  }
}

std::optional<std::string> ArchiveModel::PathInMember(const std::string& path) const {
  if (member_.empty()) return path;
  if (path == member_) return path.substr(path.rfind('/') + 1);
  bool is_below = path.size() > member_.size() && path.starts_with(member_) && path[member_.size()] == '/';
  return is_below ? std::optional(path.substr(member_.size() + 1)) : std::nullopt;
}

std::unique_ptr<RangeReader> ArchiveModel::TakeRanges() const {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<RangeReader>(reader_);
  std::unique_ptr<RangeReader> ranges = std::move(idle_.back());
  idle_.pop_back();
  return ranges;
}

void ArchiveModel::GiveBack(std::unique_ptr<RangeReader> ranges) const {
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(ranges));
}

Status ArchiveModel::Read(size_t part, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const {
  std::unique_ptr<RangeReader> ranges = TakeRanges();
  Status status = ranges->Read(*extents_[part], begin, target, scratch);
  GiveBack(std::move(ranges));
  if (status.ok()) return status;
  return WithContext(status.take_error(), "'" + parts_[part].name + "' of '" + name_ + "'");
}

Status ArchiveModel::CheckUnchanged() const {
  if (const auto* base = dynamic_cast<const BoundBase*>(reader_.base())) FLYWEIGHT_TRY(base->CheckUnchanged());
  if (const auto* file = dynamic_cast<const FileSource*>(source_.get())) return file->CheckUnchanged();
  if (const auto* parts = dynamic_cast<const PartsSource*>(source_.get())) return parts->CheckUnchanged();
  return Status::Ok();
}

Result<std::vector<Digest>> ArchiveModel::FileDigests() {
  std::vector<Digest> digests;
  CodecScratch scratch;
  RangeReader ranges(reader_);
  AlignedBuffer buffer(kHashBytes);
  for (const IndexFile& file : reader_.index().files) {
    if (file.entry.kind != EntryKind::kFile || !PathInMember(file.name).has_value()) continue;
    Sha256Stream hash;
    for (const IndexExtent& extent : file.extents) {
      for (uint64_t begin = 0; begin < extent.decoded_bytes; begin += kHashBytes) {
        auto size = static_cast<size_t>(std::min<uint64_t>(kHashBytes, extent.decoded_bytes - begin));
        FLYWEIGHT_TRY(ranges.Read(extent, begin, {buffer.data(), size}, scratch));
        hash.Update({buffer.data(), size});
      }
    }
    digests.push_back(hash.Finish());
  }
  return digests;
}

Result<std::shared_ptr<Model>> MakeArchiveModel(std::shared_ptr<const ByteSource> source, ArchiveReader reader,
                                                std::string name, std::string member) {
  return std::shared_ptr<Model>(
      std::make_shared<ArchiveModel>(std::move(source), std::move(reader), std::move(name), std::move(member)));
}

}  // namespace flyweight
