#include "delta/model_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/aligned_buffer.h"
#include "base/parts.h"
#include "container/annotate.h"

namespace flyweight {
namespace {

constexpr size_t kHashBytes = size_t{1} << 20;
constexpr size_t kFileMaxCount = size_t{1} << 20;

namespace fs = std::filesystem;

Error CannotWalk(const std::string& path, const std::error_code& code) {
  return {ErrorCode::kIo, 0, "cannot read the directory '" + path + "': " + code.message()};
}

/// All regular files below a directory, links to files followed, in the order of their names.
Result<std::vector<std::pair<std::string, std::string>>> ListFiles(const std::string& directory) {
  std::vector<std::pair<std::string, std::string>> files;
  std::error_code code;
  fs::recursive_directory_iterator entry(directory, code);
  if (code) return CannotWalk(directory, code);
  for (; entry != fs::recursive_directory_iterator(); entry.increment(code)) {
    if (code) return CannotWalk(directory, code);
    std::error_code unreadable;
    if (!entry->is_regular_file(unreadable) || unreadable) continue;
    if (files.size() == kFileMaxCount) {
      return Error{ErrorCode::kLimitExceeded, 0, "'" + directory + "' holds more than 2^20 files"};
    }
    files.emplace_back(entry->path().string(), entry->path().lexically_relative(directory).string());
  }
  if (code) return CannotWalk(directory, code);
  std::ranges::sort(files);
  return files;
}

std::string NameOf(const std::string& path) {
  fs::path whole = fs::path(path).lexically_normal();
  return whole.has_filename() ? whole.filename().string() : whole.parent_path().filename().string();
}

Result<bool> StartsAsArchive(const ByteSource& source) {
  std::array<std::byte, 8> first_bytes;
  if (source.size() < first_bytes.size()) return false;
  FLYWEIGHT_TRY(source.ReadAt(0, first_bytes));
  return LooksLikeArchive(first_bytes);
}

Result<std::shared_ptr<Model>> OpenArchive(std::shared_ptr<const ByteSource> source, const std::string& path) {
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
  if (reader.needs_base()) {
    Error missing = MissingBase(*reader.base_table());
    return WithContext(std::move(missing), "'" + path + "'");
  }
  return MakeArchiveModel(std::move(source), std::move(reader), NameOf(path));
}

/// A path that leads into an archive: that of the archive, and what it names there.
struct MemberPath {
  std::string archive;
  std::string member;
};

std::optional<MemberPath> SplitMemberPath(const std::string& path) {
  std::error_code code;
  std::string whole = fs::path(path).lexically_normal().string();
  while (whole.size() > 1 && whole.ends_with('/')) whole.pop_back();
  if (fs::exists(whole, code)) return std::nullopt;
  for (size_t slash = whole.rfind('/'); slash != std::string::npos && slash > 0; slash = whole.rfind('/', slash - 1)) {
    std::string archive = whole.substr(0, slash);
    if (fs::is_regular_file(archive, code)) return MemberPath{archive, whole.substr(slash + 1)};
    if (fs::exists(archive, code)) break;
  }
  return std::nullopt;
}

Result<std::shared_ptr<Model>> OpenMember(const MemberPath& path) {
  FLYWEIGHT_ASSIGN(std::shared_ptr<const ByteSource> source, OpenArchiveSource(path.archive));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*source));
  bool has_member = std::ranges::any_of(reader.index().files, [&](const IndexFile& file) {
    return file.name == path.member || file.name.starts_with(path.member + "/");
  });
  if (!reader.index().is_tree || !has_member) {
    return Error{ErrorCode::kInvalidArgument, 0, "'" + path.archive + "' holds no '" + path.member + "'"};
  }
  if (reader.needs_base()) return WithContext(MissingBase(*reader.base_table()), "'" + path.archive + "'");
  return MakeArchiveModel(std::move(source), std::move(reader), NameOf(path.member), path.member);
}

}  // namespace

Result<std::shared_ptr<Model>> FilesModel::Open(std::vector<std::pair<std::string, std::string>> paths,
                                                std::string name) {
  auto model = std::make_shared<FilesModel>();
  model->name_ = std::move(name);
  for (const auto& [path, file_name] : paths) FLYWEIGHT_TRY(model->AddFile(path, file_name));
  return std::shared_ptr<Model>(std::move(model));
}

Status FilesModel::AddFile(const std::string& path, const std::string& name) {
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> source, FileSource::Open(path));
  FLYWEIGHT_ASSIGN(FileMap map, Annotate(*source));
  for (Extent& extent : map.extents) {
    if (!extent.is_tensor && extent.size_bytes < kModelPartMinBytes) continue;
    ModelPart part;
    part.is_tensor = extent.is_tensor;
    part.name = extent.is_tensor ? std::move(extent.name) : name;
    part.dtype = extent.dtype;
    part.shape = std::move(extent.shape);
    part.size_bytes = extent.size_bytes;
    parts_.push_back(std::move(part));
    places_.push_back({files_.size(), extent.offset});
  }
  files_.push_back({path, source->stamp()});
  return Status::Ok();
}

Result<std::shared_ptr<FileSource>> FilesModel::OpenFile(size_t file) const {
  std::lock_guard lock(mutex_);
  for (const auto& [number, source] : open_) {
    if (number == file) return source;
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> opened, FileSource::Open(files_[file].path));
  if (opened->stamp() != files_[file].stamp) {
    return Error{ErrorCode::kSourceChanged, 0, "'" + files_[file].path + "' changed while it was used as a base"};
  }
  open_.emplace_back(file, std::move(opened));
  if (open_.size() > kOpenMaxCount) open_.pop_front();
  return open_.back().second;
}

Status FilesModel::Read(size_t part, uint64_t begin, MutableByteSpan target, CodecScratch&) const {
  FLYWEIGHT_ASSIGN(std::shared_ptr<FileSource> source, OpenFile(places_[part].file));
  return source->ReadAt(places_[part].offset + begin, target);
}

Status FilesModel::CheckUnchanged() const {
  for (const File& file : files_) {
    FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> source, FileSource::Open(file.path));
    if (source->stamp() == file.stamp) continue;
    return Error{ErrorCode::kSourceChanged, 0, "'" + file.path + "' changed while it was used as a base"};
  }
  return Status::Ok();
}

Result<std::vector<Digest>> FilesModel::FileDigests() {
  std::vector<Digest> digests;
  AlignedBuffer buffer(kHashBytes);
  for (size_t file = 0; file < files_.size(); ++file) {
    FLYWEIGHT_ASSIGN(std::shared_ptr<FileSource> source, OpenFile(file));
    Sha256Stream hash;
    for (uint64_t begin = 0; begin < source->size(); begin += kHashBytes) {
      auto size = static_cast<size_t>(std::min<uint64_t>(kHashBytes, source->size() - begin));
      FLYWEIGHT_TRY(source->ReadAt(begin, {buffer.data(), size}));
      hash.Update({buffer.data(), size});
    }
    digests.push_back(hash.Finish());
  }
  return digests;
}

Result<std::shared_ptr<const ByteSource>> OpenArchiveSource(const std::string& path) {
  FLYWEIGHT_ASSIGN(std::optional<std::string> parts, PartsSource::FindBase(path));
  if (parts.has_value()) {
    FLYWEIGHT_ASSIGN(std::unique_ptr<PartsSource> source, PartsSource::Open(path));
    return std::shared_ptr<const ByteSource>(std::move(source));
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> source, FileSource::Open(path));
  return std::shared_ptr<const ByteSource>(std::move(source));
}

Result<std::shared_ptr<Model>> OpenModel(const std::string& path) {
  std::error_code code;
  if (fs::is_directory(path, code)) {
    FLYWEIGHT_ASSIGN(auto files, ListFiles(path));
    return FilesModel::Open(std::move(files), NameOf(path));
  }
  if (std::optional<MemberPath> member = SplitMemberPath(path); member.has_value()) return OpenMember(*member);
  FLYWEIGHT_ASSIGN(std::shared_ptr<const ByteSource> source, OpenArchiveSource(path));
  FLYWEIGHT_ASSIGN(bool is_archive, StartsAsArchive(*source));
  if (is_archive) return OpenArchive(std::move(source), path);
  return FilesModel::Open({{path, NameOf(path)}}, NameOf(path));
}

}  // namespace flyweight
