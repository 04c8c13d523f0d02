#include "flyweight/repair.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "archive/reader.h"
#include "archive/repair.h"
#include "base/aligned_buffer.h"
#include "base/file_io.h"
#include "pipeline/base_input.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/input_guard.h"
#include "pipeline/stored_chunks.h"

namespace flyweight {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 20;

/// The file that a path leads to, so that repairing a link in place repairs what it points to.
Result<std::string> ResolvedPath(const std::string& path) {
  std::unique_ptr<char, decltype(&free)> resolved(realpath(path.c_str(), nullptr), &free);
  if (resolved == nullptr) return SystemError(Cannot("open", path), errno);
  return std::string(resolved.get());
}

/// Whether `target` is the very file that is read. Errors: kInvalidArgument where it is the second copy.
Result<bool> IsInPlace(const InputEndpoint& input, const InputEndpoint& other, const std::string& target) {
  if (other.source != nullptr && !RefuseSameFile(other, target).ok()) {
    return Error{ErrorCode::kInvalidArgument, 0, "the second copy would be overwritten"};
  }
  return !RefuseSameFile(input, target).ok();
}

/// Decodes everything and checks all that there is to check; of a patch without its base, what is stored.
Status VerifyContent(const ArchiveReader& reader, bool lacks_base, ThreadPool& pool, ProgressMeter& progress) {
  progress.SetStage("verify");
  if (lacks_base) {
    Result<uint64_t> scrubbed = ScrubStoredChunks(reader, pool, progress);
    return scrubbed.ok() ? Status::Ok() : Status(scrubbed.take_error());
  }
  DecodeOptions options;
  options.check_digests = true;
  options.stored_check = StoredCheck::kAlways;
  Result<uint64_t> decoded = DecodeArchive(reader, AllFiles(reader.index()), options, pool, progress);
  return decoded.ok() ? Status::Ok() : Status(ExplainFailure(reader, decoded.take_error()));
}

/// Everything VerifyFile checks.
Status VerifyWhole(const ByteSource& archive, const std::string& name, const RepairOptions& options, ThreadPool& pool,
                   ProgressMeter& progress, RepairReport& report) {
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(archive));
  if (!reader.damage().empty()) {
    return Error{ErrorCode::kInternal, 0, "the repaired archive's " + reader.damage().front() + " is damaged"};
  }
  if (!options.bases.empty()) FLYWEIGHT_TRY(AttachBase(reader, name, options.bases, RowCheck::kSample));
  report.lacks_base = reader.needs_base() && options.bases.empty();
  FLYWEIGHT_TRY(VerifyContent(reader, report.lacks_base, pool, progress));
  RepairReport parity;
  FLYWEIGHT_TRY(CheckParity(archive, pool, parity));
  if (!parity.found_damage()) return Status::Ok();
  return Error{ErrorCode::kInternal, 0, "the repaired archive's parity does not fit it"};
}

Status CopyTo(ByteSink& sink, const ByteSource& archive) {
  AlignedBuffer buffer(kCopyBytes);
  for (uint64_t offset = 0; offset < archive.size();) {
    auto count = static_cast<size_t>(std::min<uint64_t>(kCopyBytes, archive.size() - offset));
    FLYWEIGHT_TRY(archive.ReadAt(offset, {buffer.data(), count}));
    FLYWEIGHT_TRY(sink.Append({buffer.data(), count}));
    offset += count;
  }
  return Status::Ok();
}

Status Repair(const std::string& source, const std::string& target, const RepairOptions& options,
              RepairReport& report) {
  if (source == kStreamPath || target == kStreamPath || options.other == kStreamPath) {
    return Error{ErrorCode::kInvalidArgument, 0, "repair works on files, not on standard input and output"};
  }
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(source, target));
  if (input.parts != nullptr && (target == source || target == input.parts->path())) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "an archive in parts is not repaired in place: name another output, which will be one file"};
  }
  InputEndpoint other;
  if (!options.other.empty()) {
    FLYWEIGHT_ASSIGN(other, OpenArchiveInput(options.other, target));
    if (!RefuseSameFile(other, source).ok()) {
      return Error{ErrorCode::kInvalidArgument, 0, "the second copy is the file that is to be repaired"};
    }
  }
  FLYWEIGHT_ASSIGN(bool in_place, IsInPlace(input, other, target));
  FLYWEIGHT_TRY(InputGuard(options.bases).Check(target));
  std::string path = target;
  if (in_place) {
    FLYWEIGHT_ASSIGN(path, ResolvedPath(target));
  }
  // Refusals come before hours of work; the file itself is only made when the result is known to be whole.
  struct stat status;
  if (!in_place && !options.overwrite && lstat(target.c_str(), &status) == 0) {
    return Error{ErrorCode::kExists, 0, "'" + target + "' exists"};
  }
  ThreadPool pool(UsefulThreadCount(options.thread_count, input.source->size()));
  ArchiveRepairOptions archive_options{
      .other = other.source.get(), .pool = &pool, .scratch_directory = DirectoryOf(path)};
  FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> whole, RepairArchive(*input.source, archive_options, report));
  ProgressMeter progress(options.progress, whole->size());
  if (in_place && !report.found_damage()) {
    FLYWEIGHT_TRY(VerifyWhole(*input.source, source, options, pool, progress, report));
    return input.CheckUnchanged();
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<AtomicFile> output, AtomicFile::Create(path, in_place || options.overwrite));
  FLYWEIGHT_TRY(CopyTo(*output, *whole));
  FLYWEIGHT_TRY(output->Sync());
  FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> written, output->ReadBack());
  FLYWEIGHT_TRY(VerifyWhole(*written, source, options, pool, progress, report));
  FLYWEIGHT_TRY(input.CheckUnchanged());
  return output->Commit(input.mode(), input.modified_ns());
}

}  // namespace

Status RepairFile(const std::string& source, const std::string& target, const RepairOptions& options,
                  RepairReport& report) {
  report = {};
  return Guarded([&] { return Repair(source, target, options, report); });
}

}  // namespace flyweight
