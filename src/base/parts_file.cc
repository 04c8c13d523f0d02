#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/output_name.h"
#include "base/partial_file.h"
#include "base/parts.h"

namespace flyweight {
namespace {

/// Payloads of partial files, one behind the other. Files are opened for each read: there may be more than a process
/// can have open.
class PartialPartsSource final : public ByteSource {
 public:
  struct Piece {
    std::string name;
    FileIdentity identity;
    uint64_t offset = 0;
    uint64_t size_bytes = 0;
  };

  /// `directory` must stay open; `path` is for messages.
  PartialPartsSource(int directory, std::string path, std::vector<Piece> pieces)
      : directory_(directory), path_(std::move(path)), pieces_(std::move(pieces)) {}

  uint64_t size() const override { return pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().size_bytes; }

  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    FLYWEIGHT_TRY(CheckRange(offset, target.size(), size(), "'" + path_ + "'"));
    auto begins_behind = [](uint64_t at, const Piece& piece) { return at < piece.offset; };
    auto piece = std::upper_bound(pieces_.begin(), pieces_.end(), offset, begins_behind);
    if (piece != pieces_.begin()) --piece;
    for (; !target.empty(); ++piece) {
      uint64_t within = offset - piece->offset;
      size_t count = static_cast<size_t>(std::min<uint64_t>(target.size(), piece->size_bytes - within));
      FLYWEIGHT_TRY(ReadPiece(*piece, within, target.first(count)));
      target = target.subspan(count);
      offset += count;
    }
    return Status::Ok();
  }

 private:
  Status ReadPiece(const Piece& piece, uint64_t within, MutableByteSpan target) const {
    OwnedDescriptor descriptor = OpenAt(directory_, piece.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (!descriptor.valid() || fstat(descriptor.get(), &status) != 0) return SystemError(Cannot("read", path_), errno);
    if (IdentityOf(status) != piece.identity) {
      return Error{ErrorCode::kIo, 0, "a partial file of '" + path_ + "' was replaced while it was written"};
    }
    return ReadFileAt(descriptor.get(), kPartHeaderBytes + within, target, path_);
  }

  int directory_;
  std::string path_;
  std::vector<Piece> pieces_;
};

Result<PartHeader> ReadHeaderAt(int directory, const std::string& name) {
  OwnedDescriptor file = OpenAt(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  std::array<std::byte, kPartHeaderBytes> bytes;
  if (!file.valid()) return SystemError(Cannot("read", name), errno);
  FLYWEIGHT_TRY(ReadFileAt(file.get(), 0, bytes, name));
  return ParsePartHeader(bytes);
}

/// Whether a name in a directory is a file that starts as a part does. Errors: kIo where that cannot be told.
Result<bool> IsPart(int directory, const std::string& name, const std::string& path) {
  struct stat status;
  if (fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return SystemError(Cannot("examine", path), errno);
  }
  std::array<std::byte, sizeof kPartMagic> start;
  if (!S_ISREG(status.st_mode) || status.st_size < static_cast<off_t>(start.size())) return false;
  OwnedDescriptor file = OpenAt(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!file.valid()) return SystemError(Cannot("read", path), errno);
  FLYWEIGHT_TRY(ReadFileAt(file.get(), 0, start, path));
  return HasPartMagic(start);
}

/// The numbers of the partial files of parts of `name` in a directory, ascending; nothing where it cannot be listed.
std::vector<uint32_t> ListPartialParts(int directory, const std::string& name) {
  std::vector<uint32_t> numbers;
  OwnedDescriptor readable = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  DIR* listing = readable.valid() ? fdopendir(readable.get()) : nullptr;
  if (listing == nullptr) return numbers;
  readable.Release();
  // Where part names are too long, partial names are hashes and tell no number: those are looked for one by one.
  std::string first = PartialNameOf(PartName(name, 1));
  std::string prefix = "." + name + ".";
  if (!first.starts_with(prefix)) {
    struct stat status;
    for (uint32_t number = 1; number <= kPartMaxCount; ++number) {
      std::string partial = PartialNameOf(PartName(name, number));
      if (fstatat(directory, partial.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) break;
      numbers.push_back(number);
    }
  }
  while (const dirent* entry = readdir(listing)) {
    std::string_view text(entry->d_name);
    if (!text.starts_with(prefix)) continue;
    uint32_t number = 0;
    std::from_chars(text.data() + prefix.size(), text.data() + text.size(), number);
    if (number != 0 && number <= kPartMaxCount && text == PartialNameOf(PartName(name, number)))
      numbers.push_back(number);
  }
  closedir(listing);
  std::ranges::sort(numbers);
  return numbers;
}

}  // namespace

Result<std::unique_ptr<PartsFile>> PartsFile::Create(const std::string& path, const PartsOptions& options) {
  if (options.part_bytes < kPartMinBytes) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "parts of " + std::to_string(options.part_bytes) + " bytes are too small; the smallest are of " +
                     std::to_string(kPartMinBytes)};
  }
  FLYWEIGHT_ASSIGN(OutputPlace place, OpenOutputPlace(path));
  std::unique_ptr<PartsFile> file(new PartsFile());
  file->path_ = path;
  file->name_ = std::move(place.name);
  file->directory_ = place.directory.Release();
  file->options_ = options;
  FLYWEIGHT_TRY(CheckTarget(file->directory_, file->NameOf(1), file->PathOf(1), options.overwrite));
  // Taken over without loss at first: it says whether the names of other parts are an interrupted Commit's.
  Part first;
  FLYWEIGHT_ASSIGN(first.file, PartialFile::Open(file->directory_, file->NameOf(1), file->PathOf(1), true));
  file->parts_.push_back(std::move(first));
  FLYWEIGHT_TRY(CheckTarget(file->directory_, file->NameOf(1), file->PathOf(1), options.overwrite));
  FLYWEIGHT_TRY(file->TakeBackInterruptedCommit());
  file->leftovers_ = ListPartialParts(file->directory_, file->name_);
  file->OpenPrevious();
  if (!options.resumable) {
    file->RemoveLeftovers();
    FLYWEIGHT_TRY(file->parts_.front().file->DropPrevious());
  }
  return file;
}

PartsFile::~PartsFile() {
  parts_.clear();
  if (directory_ >= 0) close(directory_);
}

// The first part takes its name last. So where its partial file is finished, parts of the same archive that have their
// names already are not worth anything yet, and are ours.
Status PartsFile::TakeBackInterruptedCommit() {
  Result<PartHeader> first = ReadHeaderAt(directory_, parts_.front().file->name());
  if (!first.ok()) return Status::Ok();
  for (uint32_t number = 2; number <= first.value().count; ++number) {
    Result<PartHeader> header = ReadHeaderAt(directory_, NameOf(number));
    if (!header.ok() || header.value().identity != first.value().identity || header.value().number != number) continue;
    if (!RenameNoReplace(directory_, NameOf(number).c_str(), PartialNameOf(NameOf(number)).c_str())) {
      return SystemError(Cannot("take back", PathOf(number)), errno);
    }
  }
  return Status::Ok();
}

void PartsFile::OpenPrevious() {
  std::vector<PartialPartsSource::Piece> pieces;
  uint64_t offset = 0;
  for (uint32_t number = 1; options_.resumable && std::ranges::binary_search(leftovers_, number); ++number) {
    PartialPartsSource::Piece piece;
    piece.name = PartialNameOf(NameOf(number));
    struct stat status;
    bool usable = fstatat(directory_, piece.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                  S_ISREG(status.st_mode) && status.st_size > static_cast<off_t>(kPartHeaderBytes);
    if (!usable) break;
    piece.identity = IdentityOf(status);
    piece.offset = offset;
    piece.size_bytes = static_cast<uint64_t>(status.st_size) - kPartHeaderBytes;
    offset += piece.size_bytes;
    pieces.push_back(std::move(piece));
  }
  previous_ = std::make_unique<PartialPartsSource>(directory_, path_, std::move(pieces));
}

Status PartsFile::AddPart() {
  auto number = static_cast<uint32_t>(parts_.size() + 1);
  if (number > kPartMaxCount) {
    return Error{ErrorCode::kLimitExceeded, 0,
                 "'" + path_ + "' would have more than " + std::to_string(kPartMaxCount) + " parts; make them larger"};
  }
  Part part;
  FLYWEIGHT_TRY(CheckTarget(directory_, NameOf(number), PathOf(number), options_.overwrite));
  FLYWEIGHT_ASSIGN(part.file, PartialFile::Open(directory_, NameOf(number), PathOf(number), options_.resumable));
  parts_.push_back(std::move(part));
  return Status::Ok();
}

Status PartsFile::Append(ByteSpan bytes) {
  if (ended_) return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was appended to after its end"};
  const uint64_t payload_max_bytes = options_.part_bytes - kPartHeaderBytes;
  while (!bytes.empty()) {
    if (part_open_ && parts_.back().payload_bytes == payload_max_bytes) FLYWEIGHT_TRY(FinishPart());
    if (!part_open_) {
      if (parts_.back().payload_bytes > 0) FLYWEIGHT_TRY(AddPart());
      // What an interrupted Commit may have written there must not make a part look finished.
      constexpr std::array<std::byte, kPartHeaderBytes> kNoHeader{};
      FLYWEIGHT_TRY(WriteFileAt(parts_.back().file->descriptor(), 0, kNoHeader, path_));
      payload_hash_ = Xxh3Stream();
      part_open_ = true;
    }
    Part& part = parts_.back();
    size_t count = static_cast<size_t>(std::min<uint64_t>(bytes.size(), payload_max_bytes - part.payload_bytes));
    ByteSpan taken = bytes.first(count);
    FLYWEIGHT_TRY(WriteFileAt(part.file->descriptor(), kPartHeaderBytes + part.payload_bytes, taken, path_));
    payload_hash_.Update(taken);
    part.payload_bytes += count;
    bytes = bytes.subspan(count);
  }
  return Status::Ok();
}

Status PartsFile::FinishPart() {
  Part& part = parts_.back();
  part.payload_xxh3 = payload_hash_.Finish();
  part_open_ = false;
  uint64_t file_bytes = kPartHeaderBytes + part.payload_bytes;
  bool cut = part.file->previous_bytes() <= file_bytes ||
             ftruncate(part.file->descriptor(), static_cast<off_t>(file_bytes)) == 0;
  if (!cut || !SyncDescriptor(part.file->descriptor())) return SystemError(Cannot("write", path_), errno);
  if (parts_.size() > 1) part.file->Park();  // the first stays open: its lock is that of the whole output
  return Status::Ok();
}

Status PartsFile::Sync() {
  if (ended_) return Status::Ok();
  bool is_empty = parts_.back().payload_bytes == 0;
  if (part_open_ || is_empty) FLYWEIGHT_TRY(FinishPart());
  ended_ = true;
  RemoveLeftovers();
  return Status::Ok();
}

Result<std::unique_ptr<ByteSource>> PartsFile::ReadBack() const {
  std::vector<PartialPartsSource::Piece> pieces;
  uint64_t offset = 0;
  for (const Part& part : parts_) {
    pieces.push_back({part.file->name(), part.file->identity(), offset, part.payload_bytes});
    offset += part.payload_bytes;
  }
  return std::unique_ptr<ByteSource>(new PartialPartsSource(directory_, path_, std::move(pieces)));
}

Status PartsFile::WriteHeaders(uint32_t mode, int64_t modified_ns) {
  std::vector<PartHeader> headers(parts_.size());
  uint64_t offset = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    headers[i].number = static_cast<uint32_t>(i + 1);
    headers[i].count = static_cast<uint32_t>(parts_.size());
    headers[i].payload_offset = offset;
    headers[i].payload_bytes = parts_[i].payload_bytes;
    headers[i].payload_xxh3 = parts_[i].payload_xxh3;
    offset += parts_[i].payload_bytes;
  }
  PartsIdentity identity = IdentityOfParts(headers);
  for (size_t i = 0; i < parts_.size(); ++i) {
    headers[i].identity = identity;
    headers[i].archive_bytes = offset;
    PartialFile& file = *parts_[i].file;
    const std::string path = PathOf(headers[i].number);
    FLYWEIGHT_TRY(file.Unpark());
    FLYWEIGHT_TRY(WriteFileAt(file.descriptor(), 0, WritePartHeader(headers[i]), path));
    FLYWEIGHT_TRY(SetAttributes(file.descriptor(), path, mode, modified_ns));
    if (!SyncDescriptor(file.descriptor())) return SystemError(Cannot("write", path), errno);
    if (i > 0) file.Park();
  }
  return Status::Ok();
}

Status PartsFile::TakeNames() {
  // A signal from here on leaves the partial files, by which the next run knows what to take back.
  for (Part& part : parts_) part.file->Keep();
  for (size_t i = parts_.size(); i-- > 0;) {
    auto number = static_cast<uint32_t>(i + 1);
    // The first part's name vouches for those of the others.
    if (i == 0 && parts_.size() > 1) FLYWEIGHT_TRY(SyncDirectory(directory_, path_));
    if (options_.overwrite) FLYWEIGHT_TRY(CheckTarget(directory_, NameOf(number), PathOf(number), true));
    FLYWEIGHT_TRY(parts_[i].file->TakeName(options_.overwrite));
  }
  return Status::Ok();
}

Status PartsFile::Commit(uint32_t mode, int64_t modified_ns) {
  if (committed_) return Error{ErrorCode::kInternal, 0, "'" + path_ + "' was put under its name twice"};
  FLYWEIGHT_TRY(Sync());
  FLYWEIGHT_TRY(WriteHeaders(mode, modified_ns));
  Status named = TakeNames();
  if (!named.ok()) {
    if (!options_.overwrite) {
      for (Part& part : parts_) part.file->Retract(options_.resumable);
    }
    return named;
  }
  committed_ = true;
  Status removed = options_.overwrite ? RemoveOldParts() : Status::Ok();
  FLYWEIGHT_TRY(SyncDirectory(directory_, path_));
  if (removed.ok()) return removed;
  return WithContext(removed.take_error(), "'" + path_ + "' is complete, but a part of the one it replaced is left");
}

// Partial files of more parts than this run has, or of all where nothing is resumed.
void PartsFile::RemoveLeftovers() {
  for (uint32_t number : leftovers_) {
    if (number <= parts_.size()) continue;
    // Opened as any other, so that the same checks say whether it is debris, and removed with the object.
    Result<std::unique_ptr<PartialFile>> stale = PartialFile::Open(directory_, NameOf(number), PathOf(number), false);
    static_cast<void>(stale);  // what cannot be removed does no harm
  }
  leftovers_.clear();
}

// From the last to the first, so that a kill leaves no gap behind which the next run would not look.
Status PartsFile::RemoveOldParts() {
  auto count = static_cast<uint32_t>(parts_.size());
  uint32_t end = count + 1;
  while (true) {
    FLYWEIGHT_ASSIGN(bool is_part, IsPart(directory_, NameOf(end), PathOf(end)));
    if (!is_part) break;
    ++end;
  }
  for (uint32_t number = end - 1; number > count; --number) {
    if (unlinkat(directory_, NameOf(number).c_str(), 0) != 0) {
      return SystemError(Cannot("remove", PathOf(number)), errno);
    }
  }
  return Status::Ok();
}

}  // namespace flyweight
