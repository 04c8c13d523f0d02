#include <unistd.h>

#include <cstring>
#include <vector>

#include "archive/reader.h"
#include "container/annotate.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

Error Differs(uint64_t offset, const std::string& what) {
  return {
      ErrorCode::kInternal, offset,
      "what was written differs from the source (" + what +
          "), so it was not kept: either the source changed meanwhile, or memory or disk are faulty, or this is a bug"};
}

/// Decodes the archive chunk by chunk and compares it with the source, which is read anew.
Status CompareWithSource(const ByteSource& archive, const ByteSource& source, const Digest& sha256, ThreadPool& pool,
                         ProgressMeter& progress) {
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(archive));
  FLYWEIGHT_ASSIGN(const IndexFile* file, SingleFileOf(reader));
  if (!reader.damage().empty()) return Differs(0, reader.damage().front() + " damaged");
  if (file->file_bytes != source.size() || file->sha256 != sha256) return Differs(0, "index");

  std::vector<AlignedBuffer> source_chunks(pool.thread_count());
  DecodeOptions options;
  options.check_sha256 = false;  // every byte is compared
  options.visit = [&](uint64_t offset, ByteSpan chunk, size_t worker) -> Status {
    if (chunk.empty()) return Status::Ok();
    AlignedBuffer& expected = source_chunks[worker];
    expected.Resize(chunk.size());
    FLYWEIGHT_TRY(source.ReadAt(offset, {expected.data(), chunk.size()}));
    if (std::memcmp(expected.data(), chunk.data(), chunk.size()) == 0) return Status::Ok();
    return Differs(offset, "near byte " + std::to_string(offset));
  };
  progress.SetStage("verify");
  FLYWEIGHT_TRY(DecodeArchiveFile(reader, *file, options, pool, progress));
  return Status::Ok();
}

uint64_t CountTensors(const FileMap& map) {
  uint64_t count = 0;
  for (const Extent& extent : map.extents) count += extent.is_tensor;
  return count;
}

/// Encodes to `sink` and fills in what the summary says. Returns the SHA-256 of the source.
Result<Digest> Encode(const ByteSource& source, const std::string& name, bool check_chunks, ByteSink& sink,
                      ThreadPool& pool, ProgressMeter& progress, CompressSummary& summary) {
  FLYWEIGHT_ASSIGN(FileMap map, Annotate(source));
  summary.source_bytes = source.size();
  summary.tensor_count = CountTensors(map);
  ArchiveIndex index = DescribeFile(std::move(map), name, source.size());
  GatheringSink gathering(sink);
  EncodeOptions options{.hash = true, .check_chunks = check_chunks};
  FLYWEIGHT_ASSIGN(summary.archive_bytes, EncodeArchive(source, index, options, gathering, pool, progress));
  FLYWEIGHT_TRY(gathering.Flush());
  return index.files.front().sha256;
}

Result<CompressSummary> CompressToStream(const std::string& source, const CompressOptions& options) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenInput(source, std::string(kStreamPath)));
  FLYWEIGHT_TRY(RefuseSameFile(input, std::string(kStreamPath)));
  ThreadPool pool(UsefulThreadCount(options.thread_count, input.source->size()));
  ProgressMeter progress(options.progress, input.source->size());
  DescriptorSink sink(STDOUT_FILENO, "standard output");
  CompressSummary summary;
  FLYWEIGHT_ASSIGN(Digest sha256,
                   Encode(*input.source, BaseNameOf(source), options.verify, sink, pool, progress, summary));
  static_cast<void>(sha256);
  FLYWEIGHT_TRY(input.CheckUnchanged());
  return summary;
}

Result<CompressSummary> CompressToFile(const std::string& source, const std::string& target,
                                       const CompressOptions& options) {
  // What can be refused is refused before anything is created, and before standard input is waited for.
  InputEndpoint input;
  if (source != kStreamPath) {
    FLYWEIGHT_ASSIGN(input, OpenInput(source, target));
    FLYWEIGHT_TRY(RefuseSameFile(input, target));
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<AtomicFile> output, AtomicFile::Create(target, options.overwrite));
  if (source == kStreamPath) {
    FLYWEIGHT_ASSIGN(input, OpenInput(source, target));
  }
  ThreadPool pool(UsefulThreadCount(options.thread_count, input.source->size()));
  ProgressMeter progress(options.progress, input.source->size() * (options.verify ? 2 : 1));
  CompressSummary summary;
  FLYWEIGHT_ASSIGN(Digest sha256, Encode(*input.source, BaseNameOf(source), false, *output, pool, progress, summary));
  FLYWEIGHT_TRY(output->Sync());
  if (options.verify) {
    FLYWEIGHT_ASSIGN(std::unique_ptr<ByteSource> written, output->ReadBack());
    FLYWEIGHT_TRY(CompareWithSource(*written, *input.source, sha256, pool, progress));
  }
  FLYWEIGHT_TRY(input.CheckUnchanged());
  FLYWEIGHT_TRY(output->Commit(input.mode(), input.modified_ns()));
  return summary;
}

}  // namespace

Result<CompressSummary> CompressFile(const std::string& source, const std::string& target,
                                     const CompressOptions& options) {
  return Guarded([&] {
    return target == kStreamPath ? CompressToStream(source, options) : CompressToFile(source, target, options);
  });
}

Status CompressFileBytes(std::span<const std::byte> file, std::string_view file_name, size_t thread_count,
                         const AppendCallback& append) {
  return Guarded([&]() -> Status {
    FLYWEIGHT_TRY(CheckFileName(file_name));
    MemorySource source(file);
    CallbackSink sink(append);
    ThreadPool pool(UsefulThreadCount(thread_count, file.size()));
    ProgressCallback no_callback;
    ProgressMeter progress(no_callback, file.size());
    CompressSummary summary;
    // What the callback took cannot be read back, so each chunk is compared before it is handed over.
    FLYWEIGHT_TRY(Encode(source, std::string(file_name), true, sink, pool, progress, summary));
    return Status::Ok();
  });
}

}  // namespace flyweight
