#include <string>

#include "archive/index.h"
#include "archive/index_patches.h"
#include "archive/index_shared.h"
#include "archive/index_tree.h"
#include "archive/wire.h"
#include "base/checked.h"

namespace flyweight {
namespace {

constexpr uint64_t kRecordMinBytes = kRecordHeadMinBytes + kFrameHeaderBytes + kChunkEntryBytes;

Error Corrupt(const std::string& what) { return {ErrorCode::kCorrupt, 0, what}; }

Status CheckTensor(const IndexExtent& extent) {
  if (extent.name.size() > wire::kNameMaxBytes) return Corrupt("the tensor's name is longer than 65535 bytes");
  if (extent.shape.size() > wire::kRankMax) return Corrupt("the tensor has more than 255 dimensions");
  bool known_size = extent.dtype != DType::kOpaque && Describe(extent.dtype).dtype == extent.dtype;
  if (known_size && TensorBytes(extent.dtype, extent.shape) != extent.decoded_bytes) {
    return Corrupt("the tensor's shape does not give its " + std::to_string(extent.decoded_bytes) + " bytes");
  }
  if (extent.digest_algorithm == DigestAlgorithm::kNone) {
    if (extent.digest != Digest{}) return Corrupt("a digest that is not there must be 32 zero bytes");
  } else if (extent.digest_algorithm != DigestAlgorithm::kSha256Tree) {
    return Error{ErrorCode::kUnsupportedFeature, 0,
                 "the tensor's digest is of an unknown kind; a newer flyweight is needed"};
  }
  return Status::Ok();
}

Status CheckRecordPlace(const IndexExtent& extent, uint64_t records_end_offset) {
  if (extent.decoded_bytes == 0) return Corrupt("an extent without bytes must be inline");
  auto end = CheckedAdd(extent.record_offset, extent.record_bytes);
  if (extent.record_offset < wire::kHeaderBytes || !end || *end > records_end_offset) {
    return Corrupt("its record does not lie between the header and the index");
  }
  if (extent.record_bytes < kRecordMinBytes) return Corrupt("its record is too small to be one");
  // So that nobody sets aside memory for more than the record could ever give.
  uint64_t most_chunks = (extent.record_bytes - kRecordHeadMinBytes) / (kFrameHeaderBytes + kChunkEntryBytes);
  if (CeilDiv(extent.record_decoded_bytes(), kChunkMaxBytes) > most_chunks) {
    return Corrupt("its record is too small for its " + std::to_string(extent.record_decoded_bytes()) + " bytes");
  }
  return Status::Ok();
}

Status CheckSamePlace(const IndexExtent& extent, const std::vector<const IndexExtent*>& earlier) {
  if (extent.decoded_bytes == 0) return Corrupt("an extent without bytes must be inline");
  if (extent.same_as >= earlier.size()) return Corrupt("it is said to be the same as an extent that is not before it");
  const IndexExtent& other = *earlier[static_cast<size_t>(extent.same_as)];
  if (other.place == PlaceKind::kSame) {
    return Corrupt("it is said to be the same as an extent that holds no bytes itself");
  }
  if (other.decoded_bytes != extent.decoded_bytes)
    return Corrupt("it is said to be the same as an extent of another size");
  return Status::Ok();
}

/// `earlier` is given back as it was.
Status CheckPiecesPlace(const IndexExtent& extent, std::vector<const IndexExtent*>& earlier,
                        uint64_t records_end_offset) {
  if (extent.decoded_bytes == 0) return Corrupt("an extent without bytes must be inline");
  if (extent.has_record()) FLYWEIGHT_TRY(CheckRecordPlace(extent, records_end_offset));
  earlier.push_back(&extent);
  Status status = CheckPieces(extent, earlier);
  earlier.pop_back();
  return status;
}

Status CheckPlace(const IndexExtent& extent, std::vector<const IndexExtent*>& earlier, uint64_t records_end_offset) {
  switch (extent.place) {
    case PlaceKind::kInline:
      if (extent.inline_bytes.size() > wire::kInlineMaxBytes)
        return Corrupt("it is inline but has more than 4096 bytes");
      if (extent.inline_bytes.size() != extent.decoded_bytes)
        return Corrupt("its inline bytes are not as many as its bytes");
      return Status::Ok();
    case PlaceKind::kRecord:
      return CheckRecordPlace(extent, records_end_offset);
    case PlaceKind::kSame:
      return CheckSamePlace(extent, earlier);
    case PlaceKind::kPieces:
      return CheckPiecesPlace(extent, earlier, records_end_offset);
    case PlaceKind::kCast:
      if (extent.decoded_bytes == 0) return Corrupt("an extent without bytes must be inline");
      return Status::Ok();  // what it is a cast of may come later
    case PlaceKind::kPatched:
      return CheckRecordPlace(extent, records_end_offset);  // its base may come later
    case PlaceKind::kBase:
      if (extent.decoded_bytes == 0) return Corrupt("an extent without bytes must be inline");
      return Status::Ok();
    case PlaceKind::kExternal:
      break;
  }
  return Error{ErrorCode::kUnsupportedFeature, 0, "its bytes lie outside the archive"};
}

Status CheckEntry(const IndexFile& file) {
  const EntryStat& entry = file.entry;
  if (entry.mode > wire::kModeBits) return Corrupt("its mode has more than 12 bits");
  if (entry.modified.nanoseconds >= wire::kNanosecondsInSecond ||
      entry.accessed.nanoseconds >= wire::kNanosecondsInSecond) {
    return Corrupt("its time has a second or more of nanoseconds");
  }
  if (entry.kind != EntryKind::kFile &&
      (!file.extents.empty() || file.has_sha256 || file.container_format != ContainerFormat::kRaw)) {
    return Corrupt("it is no file but has content");
  }
  bool is_symlink = entry.kind == EntryKind::kSymlink;
  if (is_symlink && (file.link_target.empty() || file.link_target.size() > wire::kLinkTargetMaxBytes ||
                     file.link_target.find('\0') != std::string::npos)) {
    return Corrupt("the target of the link is not a path");
  }
  return Status::Ok();
}

Status CheckFileFields(const IndexFile& file, bool is_tree) {
  if (file.name.size() > wire::kNameMaxBytes) return Corrupt("its name is longer than 65535 bytes");
  if (is_tree) {
    FLYWEIGHT_TRY(CheckEntry(file));
  } else if (file.name.find('/') != std::string::npos || file.name.find('\0') != std::string::npos ||
             file.name == "." || file.name == "..") {
    return Corrupt("its name is not the plain name of a file");
  }
  if (!file.has_sha256 && file.sha256 != Digest{}) return Corrupt("a SHA-256 that is not there must be 32 zero bytes");
  return Status::Ok();
}

Status CheckFile(const IndexFile& file, bool is_tree, std::vector<const IndexExtent*>& earlier,
                 uint64_t records_end_offset) {
  FLYWEIGHT_TRY(CheckFileFields(file, is_tree));
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < file.extents.size(); ++i) {
    const IndexExtent& extent = file.extents[i];
    Status status = extent.is_tensor ? CheckTensor(extent) : Status::Ok();
    if (status.ok()) status = CheckPlace(extent, earlier, records_end_offset);
    auto sum = CheckedAdd(total_bytes, extent.decoded_bytes);
    if (status.ok() && !sum) status = Corrupt("its bytes and those before it are over 2^64");
    if (!status.ok()) return WithContext(status.take_error(), "extent " + std::to_string(i));
    total_bytes = *sum;
    earlier.push_back(&extent);
  }
  if (total_bytes != file.file_bytes) {
    return Corrupt("its extents have " + std::to_string(total_bytes) + " bytes but the file " +
                   std::to_string(file.file_bytes));
  }
  return Status::Ok();
}

/// Casts may be of later extents, which `extents` then has all.
Status CheckCasts(const ArchiveIndex& index, const std::vector<const IndexExtent*>& extents) {
  for (size_t i = 0; i < index.files.size(); ++i) {
    for (const IndexExtent& extent : index.files[i].extents) {
      if (extent.place != PlaceKind::kCast) continue;
      auto status = CheckCast(extent, extents);
      if (!status.ok()) return WithContext(status.take_error(), "index: file " + std::to_string(i));
    }
  }
  return Status::Ok();
}

}  // namespace

Status ValidateIndex(const ArchiveIndex& index, uint64_t records_end_offset) {
  if (index.files.size() > wire::kFileMaxCount)
    return Error{ErrorCode::kLimitExceeded, 0, "index: more than 2^20 files"};
  uint64_t extent_count = 0;
  for (const IndexFile& file : index.files) extent_count += file.extents.size();
  if (extent_count > wire::kExtentMaxCount) return Error{ErrorCode::kLimitExceeded, 0, "index: more than 2^22 extents"};

  if (index.is_tree) FLYWEIGHT_TRY(CheckTree(index));
  std::vector<const IndexExtent*> earlier;
  earlier.reserve(static_cast<size_t>(extent_count));
  for (size_t i = 0; i < index.files.size(); ++i) {
    auto status = CheckFile(index.files[i], index.is_tree, earlier, records_end_offset);
    if (!status.ok()) return WithContext(status.take_error(), "index: file " + std::to_string(i));
  }
  FLYWEIGHT_TRY(CheckCasts(index, earlier));
  return CheckPatches(index, earlier);
}

}  // namespace flyweight
