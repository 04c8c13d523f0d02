#include <sys/stat.h>
#include <unistd.h>

#include <atomic>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

#include "archive/prefix.h"
#include "archive/reader.h"
#include "base/parts.h"
#include "container/annotate.h"
#include "delta/lineage.h"
#include "pipeline/archive_input.h"
#include "pipeline/base_input.h"
#include "pipeline/base_match.h"
#include "pipeline/decode.h"
#include "pipeline/delta_plan.h"
#include "pipeline/duplicates.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/input_guard.h"
#include "pipeline/lossy_compare.h"
#include "pipeline/lossy_plan.h"
#include "pipeline/pack_input.h"
#include "pipeline/patch_repeats.h"
#include "pipeline/sequence_bases.h"
#include "pipeline/sharing.h"

namespace flyweight {
namespace {

Error Differs(uint64_t offset, const std::string& what) {
  return {
      ErrorCode::kInternal, offset,
      "what was written differs from the source (" + what +
          "), so it was not kept: either the source changed meanwhile, or memory or disk are faulty, or this is a bug"};
}

/// What has to come out of an archive that was read back.
struct Expected {
  const ContentSet& contents;
  uint64_t index_hash;          ///< of the index that was written
  std::shared_ptr<Model> base;  ///< of a patch
  std::string name;             ///< what the archive will be called
};

/// Decodes the archive chunk by chunk and compares it with the source, which is read anew.
Status CompareWithSource(const ByteSource& archive, const Expected& expected, ThreadPool& pool,
                         ProgressMeter& progress) {
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(archive));
  if (!reader.damage().empty()) return Differs(0, reader.damage().front() + " damaged");
  if (reader.index_hash() != expected.index_hash) return Differs(0, "index");
  if (expected.base != nullptr) {
    FLYWEIGHT_ASSIGN(std::shared_ptr<BoundBase> base,
                     BindLink(reader, expected.name, expected.base, RowCheck::kSample, pool));
    reader.set_base(std::move(base));
  }

  FLYWEIGHT_ASSIGN(LossyComparison lossy, LossyComparison::Make(reader.index()));
  ContentCache contents(expected.contents);
  std::vector<AlignedBuffer> source_chunks(pool.thread_count());
  DecodeOptions options;
  options.check_sha256 = false;  // every byte is compared
  options.stored_check = StoredCheck::kAlways;
  options.visit = [&](size_t file, uint64_t offset, ByteSpan chunk, size_t worker) -> Status {
    if (chunk.empty()) return Status::Ok();
    FLYWEIGHT_ASSIGN(std::shared_ptr<const Content> content, contents.Open(file));
    AlignedBuffer& buffer = source_chunks[worker];
    buffer.Resize(chunk.size());
    FLYWEIGHT_TRY(content->source().ReadAt(offset, {buffer.data(), chunk.size()}));
    bool is_right = lossy.IsLossy(file, offset) ? lossy.Compare(file, offset, {buffer.data(), chunk.size()}, chunk)
                                                : std::memcmp(buffer.data(), chunk.data(), chunk.size()) == 0;
    if (is_right) return Status::Ok();
    std::string where = "near byte " + std::to_string(offset);
    return Differs(offset, reader.index().is_tree ? where + " of '" + reader.index().files[file].name + "'" : where);
  };
  progress.SetStage("verify");
  FLYWEIGHT_TRY(DecodeArchive(reader, AllFiles(reader.index()), options, pool, progress));
  return lossy.HasRecordedErrors() ? Status::Ok() : Differs(0, "the errors of lossy tensors");
}

void Count(const ArchiveIndex& index, CompressSummary& summary) {
  summary.file_count = index.files.size();
  for (const IndexFile& file : index.files) {
    for (const IndexExtent& extent : file.extents) summary.tensor_count += extent.is_tensor;
  }
}

/// What a run works with.
struct Run {
  PackInput& input;
  std::shared_ptr<Model> base;  ///< of a patch, else null
  ThreadPool& pool;
  ProgressMeter& progress;
};

/// Opens what is to be compressed.
Result<std::unique_ptr<PackInput>> OpenSources(const std::vector<std::string>& sources, const std::string& target,
                                               const CompressOptions& options) {
  if (options.repack) return OpenArchivePackInput(sources.front(), options.source_bases);
  return OpenPackInput(sources, target, Stripper(options.strip), options.notice);
}

/// Opens what a patch is to stand on.
Result<std::shared_ptr<Model>> OpenBase(const CompressOptions& options) {
  if (options.bases.empty()) return std::shared_ptr<Model>();
  ThreadPool pool(ResolveThreadCount(options.thread_count));
  Result<std::shared_ptr<Model>> model = OpenLineage(options.bases, pool);
  if (model.ok() || model.error().code != ErrorCode::kBaseMismatch) return model;
  std::string hint = OrderHint(options.bases);
  if (hint.empty()) return model;
  return WithContext(model.take_error(), hint);
}

/// That the base changed, where it did; else what went wrong.
Error Explain(const std::shared_ptr<Model>& base, Error error) {
  Status status = base == nullptr ? Status::Ok() : base->CheckUnchanged();
  return status.ok() ? std::move(error) : status.take_error();
}

/// Encodes to `output` where there is one, else to `stream`, and fills in what the summary says. Returns the hash of
/// the index.
Result<uint64_t> Encode(const Run& run, const CompressOptions& compress, OutputFile* output, ByteSink& stream,
                        CompressSummary& summary) {
  PackInput& input = run.input;
  ThreadPool& pool = run.pool;
  FLYWEIGHT_ASSIGN(ArchiveIndex index, input.Describe(pool));
  summary.source_bytes = input.source_bytes();
  Count(index, summary);
  FLYWEIGHT_TRY(FindDuplicates(input.contents(), index, pool));
  FLYWEIGHT_ASSIGN(LossyPlan lossy, PlanLossy(input.contents(), index, compress.lossy, compress.level, pool));
  std::unique_ptr<PatchBases> patches;
  if (run.base != nullptr) {
    FLYWEIGHT_ASSIGN(patches, MatchBase(input.contents(), index, run.base, pool));
    if (compress.lossy.delta.has_value())
      FLYWEIGHT_TRY(
          PlanLossyDeltas(input.contents(), index, *patches, *compress.lossy.delta, compress.level, pool, lossy));
  } else if (compress.key_every != 0) {
    FLYWEIGHT_ASSIGN(patches, MatchVersions(input.contents(), index, compress.key_every));
  }
  // Lossy tensors are not made of others, nor others of them.
  if (!lossy.any()) {
    if (run.base != nullptr) FLYWEIGHT_TRY(ReleaseShared(input.contents(), *patches, compress.level, pool, index));
    FLYWEIGHT_TRY(FindShared(input.contents(), index, compress.level));
  }
  GatheringSink gathering(output == nullptr ? stream : *output);
  EncodeOptions options{
      .level = compress.level, .hash = true, .lossy = &lossy, .check_chunks = output == nullptr && compress.verify};
  options.patches = patches.get();
  ArchivePrefix previous;
  if (output != nullptr && output->PreviousBytes().size() > 0) {
    previous = ArchivePrefix::Scan(output->PreviousBytes());
    options.previous = &previous;
  }
  if (output != nullptr && compress.recovery_permille != 0) {
    options.recovery.permille = compress.recovery_permille;
    options.recovery.pool = &pool;
    options.recovery.scratch_directory = DirectoryOf(output->path());
    options.recovery.read_back = [&]() -> Result<std::unique_ptr<ByteSource>> {
      FLYWEIGHT_TRY(gathering.Flush());
      return output->ReadBack();
    };
  }
  FLYWEIGHT_ASSIGN(EncodedArchive encoded,
                   EncodeArchive(input.contents(), index, options, gathering, pool, run.progress));
  summary.archive_bytes = encoded.archive_bytes;
  FLYWEIGHT_TRY(gathering.Flush());
  if (run.base != nullptr) FLYWEIGHT_TRY(run.base->CheckUnchanged());
  return encoded.index_hash;
}

Result<CompressSummary> CompressToStream(const std::vector<std::string>& sources, const CompressOptions& options) {
  FLYWEIGHT_ASSIGN(std::shared_ptr<Model> base, OpenBase(options));
  FLYWEIGHT_ASSIGN(std::unique_ptr<PackInput> input, OpenSources(sources, std::string(kStreamPath), options));
  ThreadPool pool(UsefulThreadCount(options.thread_count, input->source_bytes()));
  ProgressMeter progress(options.progress, input->source_bytes());
  DescriptorSink sink(STDOUT_FILENO, "standard output");
  CompressSummary summary;
  Result<uint64_t> encoded = Encode({*input, base, pool, progress}, options, nullptr, sink, summary);
  if (!encoded.ok()) return Explain(base, encoded.take_error());
  FLYWEIGHT_TRY(input->CheckUnchanged());
  return summary;
}

Result<std::unique_ptr<OutputFile>> CreateOutput(const std::string& target, const CompressOptions& options) {
  if (options.part_bytes == 0) {
    FLYWEIGHT_ASSIGN(std::unique_ptr<AtomicFile> file,
                     AtomicFile::Create(target, {.overwrite = options.overwrite, .resumable = options.resume}));
    return std::unique_ptr<OutputFile>(std::move(file));
  }
  PartsOptions parts{.overwrite = options.overwrite, .resumable = options.resume, .part_bytes = options.part_bytes};
  FLYWEIGHT_ASSIGN(std::unique_ptr<PartsFile> file, PartsFile::Create(target, parts));
  return std::unique_ptr<OutputFile>(std::move(file));
}

Result<CompressSummary> CompressToFile(const std::vector<std::string>& sources, const std::string& target,
                                       const CompressOptions& options, const std::atomic<uint64_t>& notice_count) {
  // What can be refused is refused before anything is created, and before standard input is waited for.
  bool from_stream = sources.size() == 1 && sources.front() == kStreamPath;
  std::unique_ptr<PackInput> input;
  if (!from_stream) {
    FLYWEIGHT_ASSIGN(input, OpenSources(sources, target, options));
  }
  FLYWEIGHT_ASSIGN(std::shared_ptr<Model> base, OpenBase(options));
  FLYWEIGHT_ASSIGN(std::unique_ptr<OutputFile> output, CreateOutput(target, options));
  if (from_stream) {
    FLYWEIGHT_ASSIGN(input, OpenSources(sources, target, options));
  }
  ThreadPool pool(UsefulThreadCount(options.thread_count, input->source_bytes()));
  ProgressMeter progress(options.progress, input->source_bytes() * (options.verify ? 2 : 1));
  CompressSummary summary;
  Result<uint64_t> index_hash = Encode({*input, base, pool, progress}, options, output.get(), *output, summary);
  if (!index_hash.ok()) return Explain(base, index_hash.take_error());
  FLYWEIGHT_TRY(output->Sync());
  if (options.verify) {
    FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> written, output->ReadBack());
    Status compared =
        CompareWithSource(*written, {input->contents(), index_hash.value(), base, target}, pool, progress);
    if (!compared.ok()) return Explain(base, compared.take_error());
    if (base != nullptr) FLYWEIGHT_TRY(base->CheckUnchanged());
  }
  FLYWEIGHT_TRY(input->CheckUnchanged());
  FLYWEIGHT_TRY(output->Commit(input->mode(), input->modified_ns()));
  if (options.remove_source && notice_count == 0) {
    FLYWEIGHT_TRY(input->RemoveSource(options.notice));
  } else if (options.remove_source) {
    options.notice({sources.front(), "is kept, since not all of it is in the archive", true});
  }
  return summary;
}

/// With --rm an earlier archive may hold the only copy of what was removed then.
Status KeepEarlierArchive(const std::string& target, const CompressOptions& options) {
  struct stat status;
  if (!options.remove_source || !options.overwrite || lstat(target.c_str(), &status) != 0) return Status::Ok();
  return Error{ErrorCode::kInvalidArgument, 0,
               "'" + target +
                   "' exists and may be the only copy of what it holds, so it is not replaced where "
                   "sources are removed; rename it first"};
}

/// A patch must not take the place of what it stands on, nor an archive that is packed anew that of what it is read
/// from.
Status KeepBases(const std::vector<std::string>& sources, const std::string& target, const CompressOptions& options) {
  std::error_code error;
  bool replaces_source = options.repack && options.replace_source && !sources.empty() &&
                         std::filesystem::equivalent(sources.front(), target, error);
  if (replaces_source) return Status::Ok();
  std::vector<std::string> inputs = options.bases;
  inputs.insert(inputs.end(), options.source_bases.begin(), options.source_bases.end());
  if (options.repack) inputs.insert(inputs.end(), sources.begin(), sources.end());
  InputGuard guard(inputs);
  FLYWEIGHT_TRY(guard.CheckReplaced(target));
  return options.part_bytes == 0 ? Status::Ok() : guard.CheckReplaced(target + ".001");
}

/// What was asked for and cannot be.
Status CheckOptions(size_t source_count, const std::string& target, const CompressOptions& options) {
  if (options.remove_source && (target == kStreamPath || !options.verify)) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "a source is only removed where its archive can be read back and compared first"};
  }
  if (target == kStreamPath && (options.recovery_permille != 0 || options.part_bytes != 0 || options.resume)) {
    return Error{ErrorCode::kInvalidArgument, 0, "parity, parts and resuming need a file as output"};
  }
  constexpr uint32_t kRecoveryMaxPermille = 1000;
  if (options.recovery_permille > kRecoveryMaxPermille) {
    return Error{ErrorCode::kInvalidArgument, 0, "more parity than 100 % makes no sense"};
  }
  if (options.remove_source && options.lossy.enabled()) {
    return Error{ErrorCode::kInvalidArgument, 0, "a source is not removed where its archive is lossy"};
  }
  if (options.remove_source && !options.strip.empty()) {
    return Error{ErrorCode::kInvalidArgument, 0, "a source is not removed where tensors of it are stripped"};
  }
  if (!options.bases.empty() && options.remove_source) {
    return Error{ErrorCode::kInvalidArgument, 0, "a source is not removed where its archive needs a base"};
  }
  if (!options.bases.empty() && (options.lossy.method.has_value() || options.lossy.is_adaptive())) {
    return Error{ErrorCode::kInvalidArgument, 0,
                 "this lossy option has no use for a base: leave out one of the two, or make the delta lossy"};
  }
  if (options.bases.empty() && options.lossy.delta.has_value()) {
    return Error{ErrorCode::kInvalidArgument, 0, "a lossy delta needs a base that it is a delta to"};
  }
  if (options.key_every != 0 && (!options.bases.empty() || options.lossy.enabled())) {
    return Error{ErrorCode::kInvalidArgument, 0, "a sequence of versions has no base outside and is lossless"};
  }
  if (options.repack && (source_count != 1 || options.remove_source || !options.strip.empty())) {
    return Error{ErrorCode::kInvalidArgument, 0, "one archive is packed anew as it is, and stays"};
  }
  if (std::ranges::count(options.strip, std::string()) > 0) {
    return Error{ErrorCode::kInvalidArgument, 0, "an empty pattern names no tensor to strip"};
  }
  return Status::Ok();
}

}  // namespace

Result<CompressSummary> Compress(const std::vector<std::string>& sources, const std::string& target,
                                 const CompressOptions& options) {
  return Guarded([&]() -> Result<CompressSummary> {
    FLYWEIGHT_TRY(CheckOptions(sources.size(), target, options));
    FLYWEIGHT_TRY(KeepEarlierArchive(target, options));
    FLYWEIGHT_TRY(KeepBases(sources, target, options));
    // A source of which something was left out is not removed.
    std::atomic<uint64_t> notice_count = 0;
    CompressOptions counting = options;
    counting.notice = [&](const Notice& notice) {
      ++notice_count;
      if (options.notice) options.notice(notice);
    };
    return target == kStreamPath ? CompressToStream(sources, counting)
                                 : CompressToFile(sources, target, counting, notice_count);
  });
}

Result<CompressSummary> CompressFile(const std::string& source, const std::string& target,
                                     const CompressOptions& options) {
  return Compress({source}, target, options);
}

Status CompressFileBytes(std::span<const std::byte> file, std::string_view file_name, Level level, size_t thread_count,
                         const AppendCallback& append) {
  return Guarded([&]() -> Status {
    FLYWEIGHT_TRY(CheckFileName(file_name));
    MemorySource source(file);
    SingleContent contents(source);
    CallbackSink sink(append);
    ThreadPool pool(UsefulThreadCount(thread_count, file.size()));
    ProgressCallback no_callback;
    ProgressMeter progress(no_callback, file.size());
    FLYWEIGHT_ASSIGN(FileMap map, Annotate(source));
    ArchiveIndex index = DescribeSingleFile(std::move(map), std::string(file_name), file.size());
    FLYWEIGHT_TRY(FindDuplicates(contents, index, pool));
    FLYWEIGHT_TRY(FindShared(contents, index, level));
    GatheringSink gathering(sink);
    // What the callback took cannot be read back, so each chunk is compared before it is handed over.
    FLYWEIGHT_TRY(EncodeArchive(contents, index, {.level = level, .hash = true, .lossy = nullptr, .check_chunks = true},
                                gathering, pool, progress));
    return gathering.Flush();
  });
}

}  // namespace flyweight
