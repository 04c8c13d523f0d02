#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include "archive/reader.h"
#include "delta/lineage.h"
#include "flyweight/patch.h"
#include "pipeline/base_input.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/input_guard.h"
#include "pipeline/member_filter.h"
#include "pipeline/restore_tree.h"
#include "pipeline/tree_entry.h"

namespace flyweight {
namespace {

/// An archive that was opened to restore what it holds.
struct OpenedArchive {
  InputEndpoint input;
  ArchiveReader reader;
  InputGuard inputs;  ///< it, and what it stands on
};

Result<OpenedArchive> OpenArchive(const std::string& source, const std::string& target,
                                  const DecompressOptions& options) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(source, target));
  FLYWEIGHT_TRY(RefuseSameFile(input, target));
  std::vector<std::string> paths = options.bases;
  paths.push_back(source);
  InputGuard inputs(paths);
  FLYWEIGHT_TRY(inputs.Check(target));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  FLYWEIGHT_TRY(AttachBase(reader, source, options.bases, CheckForFiles(reader.index())));
  return OpenedArchive{std::move(input), std::move(reader), std::move(inputs)};
}

/// Refuses more output than was allowed, before there is any.
Status CheckOutputLimit(uint64_t output_bytes, const DecompressOptions& options) {
  if (output_bytes <= options.max_output_bytes) return Status::Ok();
  return Error{ErrorCode::kLimitExceeded, 0,
               "it would give " + std::to_string(output_bytes) + " bytes, which is more than the limit of " +
                   std::to_string(options.max_output_bytes)};
}

Status Decode(const OpenedArchive& archive, FileRange files, const DecodeOptions& decode,
              const DecompressOptions& options) {
  uint64_t decoded_bytes = DecodedBytes(archive.reader.index(), files);
  ThreadPool pool(UsefulThreadCount(options.thread_count, decoded_bytes));
  ProgressMeter progress(options.progress, decoded_bytes);
  progress.SetStage("decompress");
  Result<uint64_t> decoded = DecodeArchive(archive.reader, files, decode, pool, progress);
  if (!decoded.ok()) return ExplainFailure(archive.reader, decoded.take_error());
  FLYWEIGHT_TRY(CheckBaseUnchanged(archive.reader));
  return archive.input.CheckUnchanged();
}

/// The one file that goes to a stream: the archive's only one, or the only one that was named.
Result<size_t> FileForStream(const ArchiveReader& reader, const DecompressOptions& options) {
  if (options.members.empty()) return SingleFileOf(reader);
  FLYWEIGHT_ASSIGN(MemberFilter filter, MemberFilter::Make(reader.index(), options.members));
  return filter.SingleFile();
}

/// Decodes what is wanted, without output, and says what of it is lost.
Result<std::vector<LostRange>> FindLost(const OpenedArchive& archive, const std::vector<FileRange>& ranges,
                                        const DecompressOptions& options) {
  std::vector<LostRange> lost;
  DecodeOptions decode;
  decode.lose = [&](const LostRange& range) { lost.push_back(range); };
  ThreadPool pool(ResolveThreadCount(options.thread_count));
  ProgressCallback no_callback;
  ProgressMeter progress(no_callback, 0);
  for (FileRange range : ranges) FLYWEIGHT_TRY(DecodeArchive(archive.reader, range, decode, pool, progress));
  std::ranges::sort(lost, {}, [](const LostRange& range) { return std::tie(range.file, range.file_offset); });
  return lost;
}

std::vector<LostContent> Describe(const ArchiveIndex& index, const std::vector<LostRange>& lost) {
  std::vector<LostContent> described;
  for (const LostRange& range : lost) {
    const IndexFile& file = index.files[range.file];
    described.push_back(
        {file.name, file.extents[range.extent].name, range.file_offset, range.size_bytes, range.reason});
  }
  return described;
}

DecompressSummary SummaryOf(const OpenedArchive& archive, size_t file) {
  return {.archive_bytes = archive.reader.archive_bytes(),
          .file_bytes = archive.reader.index().files[file].file_bytes,
          .file_count = 1};
}

Result<DecompressSummary> DecompressToStream(const std::string& source, const DecompressOptions& options) {
  FLYWEIGHT_ASSIGN(OpenedArchive archive, OpenArchive(source, std::string(kStreamPath), options));
  FLYWEIGHT_ASSIGN(size_t file, FileForStream(archive.reader, options));
  FLYWEIGHT_TRY(CheckOutputLimit(archive.reader.index().files[file].file_bytes, options));
  DescriptorSink output(STDOUT_FILENO, "standard output");
  GatheringSink gathering(output);
  DecodeOptions decode;
  decode.consume = [&](ByteSpan chunk) { return gathering.Append(chunk); };
  FLYWEIGHT_TRY(Decode(archive, {file, 1}, decode, options));
  FLYWEIGHT_TRY(gathering.Flush());
  return SummaryOf(archive, file);
}

/// Restores one regular file of the archive as the file `target`. Of a tree it gets the bits and times that it had.
Result<DecompressSummary> DecompressOneFile(const OpenedArchive& archive, size_t file, std::string target,
                                            const DecompressOptions& options) {
  uint64_t file_bytes = archive.reader.index().files[file].file_bytes;
  DecompressSummary summary = SummaryOf(archive, file);
  FLYWEIGHT_TRY(CheckOutputLimit(file_bytes, options));
  if (options.salvage) {
    FLYWEIGHT_ASSIGN(std::vector<LostRange> lost, FindLost(archive, {{file, 1}}, options));
    summary.lost = Describe(archive.reader.index(), lost);
    if (!lost.empty()) target += kDamagedSuffix;
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<AtomicFile> output, AtomicFile::Create(target, options.overwrite));
  FLYWEIGHT_TRY(output->Reserve(file_bytes));
  DecodeOptions decode;
  if (!summary.lost.empty()) decode.lose = [](const LostRange&) {};  // the summary has it
  decode.visit = [&](size_t, uint64_t offset, ByteSpan chunk, size_t) { return output->WriteAt(offset, chunk); };
  FLYWEIGHT_TRY(Decode(archive, {file, 1}, decode, options));
  const IndexFile& entry = archive.reader.index().files[file];
  bool is_tree = archive.reader.index().is_tree;
  FLYWEIGHT_TRY(output->Commit(is_tree ? entry.entry.mode : archive.input.mode(),
                               is_tree ? ToNanoseconds(entry.entry.modified) : archive.input.modified_ns()));
  return summary;
}

/// What is merged into a directory must not replace an input that lies there.
Status KeepInputsBelow(const OpenedArchive& archive, const MemberFilter& filter, const std::string& target) {
  std::error_code error;
  if (!std::filesystem::is_directory(target, error)) return Status::Ok();
  const std::vector<IndexFile>& files = archive.reader.index().files;
  for (size_t file = 0; file < files.size(); ++file) {
    bool is_written = filter.IsSelected(file) && files[file].entry.kind != EntryKind::kDirectory;
    if (is_written) FLYWEIGHT_TRY(archive.inputs.Check(target + "/" + files[file].name));
  }
  return Status::Ok();
}

Result<DecompressSummary> DecompressTree(const OpenedArchive& archive, const std::string& target,
                                         const DecompressOptions& options) {
  FLYWEIGHT_ASSIGN(MemberFilter filter, MemberFilter::Make(archive.reader.index(), options.members));
  if (filter.NamedFile().has_value()) return DecompressOneFile(archive, *filter.NamedFile(), target, options);
  FLYWEIGHT_TRY(CheckOutputLimit(filter.file_bytes(), options));
  FLYWEIGHT_TRY(KeepInputsBelow(archive, filter, target));
  DecompressSummary summary;
  std::set<size_t> damaged;
  if (options.salvage) {
    FLYWEIGHT_ASSIGN(std::vector<LostRange> lost, FindLost(archive, filter.Ranges(), options));
    summary.lost = Describe(archive.reader.index(), lost);
    for (const LostRange& range : lost) damaged.insert(range.file);
  }
  Result<uint64_t> restored = RestoreTree(archive.reader, filter, damaged, target, options);
  if (!restored.ok()) return ExplainFailure(archive.reader, restored.take_error());
  summary.file_count = restored.value();
  FLYWEIGHT_TRY(archive.input.CheckUnchanged());
  summary.archive_bytes = archive.reader.archive_bytes();
  summary.file_bytes = filter.file_bytes();
  return summary;
}

Result<DecompressSummary> DecompressToPath(const std::string& source, const std::string& target,
                                           const DecompressOptions& options) {
  FLYWEIGHT_ASSIGN(OpenedArchive archive, OpenArchive(source, target, options));
  if (archive.reader.index().is_tree) return DecompressTree(archive, target, options);
  if (archive.reader.index().files.size() != 1) {
    return Error{ErrorCode::kUnsupportedFeature, 0, "the archive holds several files but no directory"};
  }
  if (!options.members.empty()) {
    FLYWEIGHT_TRY(MemberFilter::Make(archive.reader.index(), options.members));
  }
  return DecompressOneFile(archive, 0, target, options);
}

}  // namespace

Result<DecompressSummary> DecompressFile(const std::string& source, const std::string& target,
                                         const DecompressOptions& options) {
  return Guarded([&] {
    return target == kStreamPath ? DecompressToStream(source, options) : DecompressToPath(source, target, options);
  });
}

Result<DecompressSummary> ApplyPatches(const std::string& base, const std::vector<std::string>& patches,
                                       const std::string& target, const DecompressOptions& options) {
  if (patches.empty()) return Error{ErrorCode::kInvalidArgument, 0, "there is no patch to apply"};
  DecompressOptions with_base = options;
  with_base.bases = {base};
  with_base.bases.insert(with_base.bases.end(), patches.begin(), patches.end() - 1);
  return DecompressFile(patches.back(), target, with_base);
}

Result<std::string> IdentityOfModel(const std::vector<std::string>& paths, size_t thread_count) {
  return Guarded([&]() -> Result<std::string> {
    ThreadPool pool(ResolveThreadCount(thread_count));
    FLYWEIGHT_ASSIGN(std::shared_ptr<Model> model, OpenLineage(paths, pool));
    FLYWEIGHT_ASSIGN(Digest identity, model->Identity(pool));
    return ToHex(identity);
  });
}

}  // namespace flyweight
