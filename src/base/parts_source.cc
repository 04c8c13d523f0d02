#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/aligned_buffer.h"
#include "base/parts.h"

namespace flyweight {
namespace {

/// More would come near the number of files that a process may usually have open.
constexpr size_t kOpenPartsMax = 256;
constexpr size_t kPieceBytes = size_t{1} << 20;
constexpr uint32_t kProbedParts = 3;

Error InPart(Error error, const std::string& path) { return WithContext(std::move(error), "'" + path + "'"); }

bool Exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0 || errno != ENOENT;
}

/// Whether `path` is a regular file that starts as a part does; anything that cannot be opened or read is none.
bool StartsAsPart(const std::string& path) {
  Result<std::unique_ptr<FileSource>> file = FileSource::Open(path);
  std::array<std::byte, sizeof kPartMagic> start;
  return file.ok() && file.value()->size() >= start.size() && file.value()->ReadAt(0, start).ok() &&
         HasPartMagic(start);
}

Result<PartHeader> ReadHeader(const FileSource& file) {
  std::array<std::byte, kPartHeaderBytes> bytes{};
  if (file.size() < bytes.size()) {
    size_t start_bytes = std::min<size_t>(bytes.size(), static_cast<size_t>(file.size()));
    FLYWEIGHT_TRY(file.ReadAt(0, MutableByteSpan(bytes).first(start_bytes)));
    if (HasPartMagic(bytes)) {
      return Error{ErrorCode::kTruncated, file.size(),
                   "it is cut off: it has " + std::to_string(file.size()) + " bytes, less than its header"};
    }
    return Error{ErrorCode::kCorrupt, 0, "it is not a part of a flyweight archive"};
  }
  FLYWEIGHT_TRY(file.ReadAt(0, bytes));
  FLYWEIGHT_ASSIGN(PartHeader header, ParsePartHeader(bytes));
  uint64_t there_bytes = file.size() - kPartHeaderBytes;
  if (there_bytes < header.payload_bytes) {
    return Error{ErrorCode::kTruncated, file.size(),
                 "it is cut off: " + std::to_string(header.payload_bytes - there_bytes) + " bytes are missing"};
  }
  if (there_bytes > header.payload_bytes) {
    return Error{ErrorCode::kCorrupt, kPartHeaderBytes + header.payload_bytes,
                 std::to_string(there_bytes - header.payload_bytes) + " bytes stand behind its end"};
  }
  return header;
}

/// Whether a part's header continues what the first one begins and `offset` bytes of the archive lie before.
Status CheckBelongs(const PartHeader& header, const PartHeader& first, uint32_t number, uint64_t offset) {
  if (header.number != number) {
    return Error{ErrorCode::kCorrupt, kPartNumberOffset,
                 "it is part " + std::to_string(header.number) + ": parts were renamed or exchanged"};
  }
  if (header.identity != first.identity) {
    return Error{ErrorCode::kCorrupt, kPartIdentityOffset, "it belongs to another archive than the first part"};
  }
  if (header.count != first.count || header.archive_bytes != first.archive_bytes || header.payload_offset != offset) {
    return Error{ErrorCode::kCorrupt, kPartCountOffset, "its header does not agree with those of the parts before it"};
  }
  return Status::Ok();
}

}  // namespace

Result<std::optional<std::string>> PartsSource::FindBase(const std::string& path) {
  if (Exists(path)) {
    if (!StartsAsPart(path)) return std::optional<std::string>();
    std::string base = WithoutPartNumber(path);
    if (!base.empty()) return std::optional(base);
    return Error{ErrorCode::kInvalidArgument, 0,
                 "'" + path + "' is a part of an archive, but its name does not end in a number as in '.001'"};
  }
  for (uint32_t number = 1; number <= kProbedParts; ++number) {
    if (StartsAsPart(PartName(path, number))) return std::optional(path);
  }
  return std::optional<std::string>();
}

Result<std::unique_ptr<PartsSource>> PartsSource::Open(const std::string& path) {
  FLYWEIGHT_ASSIGN(std::optional<std::string> base, FindBase(path));
  if (!base) return Error{ErrorCode::kCorrupt, 0, "'" + path + "' is not a part of a flyweight archive"};
  std::unique_ptr<PartsSource> source(new PartsSource());
  source->path_ = *base;
  do {
    FLYWEIGHT_TRY(source->AddPart(static_cast<uint32_t>(source->parts_.size() + 1)));
  } while (source->parts_.size() < source->parts_.front().header.count);
  return source;
}

Status PartsSource::AddPart(uint32_t number) {
  Part part;
  part.path = PartName(path_, number);
  if (!Exists(part.path)) {
    std::string of = parts_.empty() ? "" : " of " + std::to_string(parts_.front().header.count);
    return Error{ErrorCode::kIo, 0,
                 "part " + std::to_string(number) + of + " is missing: there is no '" + part.path + "'"};
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> file, FileSource::Open(part.path));
  Result<PartHeader> header = ReadHeader(*file);
  if (!header.ok()) return InPart(header.take_error(), part.path);
  const PartHeader& first = parts_.empty() ? header.value() : parts_.front().header;
  Status belongs = CheckBelongs(header.value(), first, number, size_bytes_);
  if (!belongs.ok()) return InPart(belongs.take_error(), part.path);
  part.header = header.value();
  part.stamp = file->stamp();
  size_bytes_ += part.header.payload_bytes;
  if (parts_.size() < kOpenPartsMax) part.file = std::move(file);
  parts_.push_back(std::move(part));
  return Status::Ok();
}

Result<std::shared_ptr<const FileSource>> PartsSource::FileOf(const Part& part) {
  if (part.file != nullptr) return part.file;
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> file, FileSource::Open(part.path));
  if (file->stamp() == part.stamp) return std::shared_ptr<const FileSource>(std::move(file));
  return Error{ErrorCode::kSourceChanged, 0, "'" + part.path + "' was changed or replaced while it was read"};
}

Status PartsSource::ReadAt(uint64_t offset, MutableByteSpan target) const {
  FLYWEIGHT_TRY(CheckRange(offset, target.size(), size_bytes_, "'" + path_ + "'"));
  auto begins_behind = [](uint64_t at, const Part& part) { return at < part.header.payload_offset; };
  auto part = std::upper_bound(parts_.begin(), parts_.end(), offset, begins_behind);
  if (part != parts_.begin()) --part;
  while (!target.empty()) {
    uint64_t within = offset - part->header.payload_offset;
    size_t count = static_cast<size_t>(std::min<uint64_t>(target.size(), part->header.payload_bytes - within));
    FLYWEIGHT_ASSIGN(std::shared_ptr<const FileSource> file, FileOf(*part));
    FLYWEIGHT_TRY(file->ReadAt(kPartHeaderBytes + within, target.first(count)));
    target = target.subspan(count);
    offset += count;
    ++part;
  }
  return Status::Ok();
}

Status PartsSource::VerifyParts(const std::function<void(uint64_t)>& report) const {
  AlignedBuffer piece(kPieceBytes);
  std::vector<PartHeader> headers;
  for (const Part& part : parts_) {
    FLYWEIGHT_ASSIGN(std::shared_ptr<const FileSource> file, FileOf(part));
    Xxh3Stream hash;
    for (uint64_t done = 0; done < part.header.payload_bytes;) {
      size_t count = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, part.header.payload_bytes - done));
      MutableByteSpan bytes(piece.data(), count);
      FLYWEIGHT_TRY(file->ReadAt(kPartHeaderBytes + done, bytes));
      hash.Update(bytes);
      done += count;
      if (report) report(part.header.payload_offset + done);
    }
    if (hash.Finish() != part.header.payload_xxh3) {
      return Error{ErrorCode::kChecksumMismatch, part.header.payload_offset,
                   "'" + part.path + "': its content is damaged"};
    }
    headers.push_back(part.header);
  }
  if (IdentityOfParts(headers) == parts_.front().header.identity) return Status::Ok();
  return Error{ErrorCode::kCorrupt, 0, "'" + path_ + "': its parts do not have the checksums that their archive names"};
}

Status PartsSource::CheckUnchanged() const {
  for (const Part& part : parts_) {
    struct stat status;
    Result<std::unique_ptr<FileSource>> now = FileSource::Open(part.path);
    if (now.ok() && now.value()->stamp() == part.stamp) continue;
    if (!now.ok() && stat(part.path.c_str(), &status) == 0) return now.take_error();
    return Error{ErrorCode::kSourceChanged, 0, "'" + part.path + "' was changed, moved or deleted while it was read"};
  }
  return Status::Ok();
}

}  // namespace flyweight
