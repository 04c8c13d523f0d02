#include <unistd.h>

#include "archive/reader.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

/// An archive that was opened to restore its file.
struct OpenedArchive {
  InputEndpoint input;
  ArchiveReader reader;
  const IndexFile* file;
};

Result<OpenedArchive> OpenArchive(const std::string& source, const std::string& target) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenInput(source, target));
  FLYWEIGHT_TRY(RefuseSameFile(input, target));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  FLYWEIGHT_ASSIGN(const IndexFile* file, SingleFileOf(reader));
  return OpenedArchive{std::move(input), std::move(reader), file};
}

DecompressSummary SummaryOf(const OpenedArchive& archive) {
  return {.archive_bytes = archive.reader.archive_bytes(), .file_bytes = archive.file->file_bytes};
}

Status Decode(const OpenedArchive& archive, const DecodeOptions& decode, const DecompressOptions& options) {
  uint64_t file_bytes = archive.file->file_bytes;
  ThreadPool pool(UsefulThreadCount(options.thread_count, file_bytes));
  ProgressMeter progress(options.progress, file_bytes);
  progress.SetStage("decompress");
  FLYWEIGHT_TRY(DecodeArchiveFile(archive.reader, *archive.file, decode, pool, progress));
  return archive.input.CheckUnchanged();
}

Result<DecompressSummary> DecompressToStream(const std::string& source, const DecompressOptions& options) {
  FLYWEIGHT_ASSIGN(OpenedArchive archive, OpenArchive(source, std::string(kStreamPath)));
  DescriptorSink output(STDOUT_FILENO, "standard output");
  GatheringSink gathering(output);
  DecodeOptions decode;
  decode.consume = [&](ByteSpan chunk) { return gathering.Append(chunk); };
  FLYWEIGHT_TRY(Decode(archive, decode, options));
  FLYWEIGHT_TRY(gathering.Flush());
  return SummaryOf(archive);
}

Result<DecompressSummary> DecompressToFile(const std::string& source, const std::string& target,
                                           const DecompressOptions& options) {
  FLYWEIGHT_ASSIGN(OpenedArchive archive, OpenArchive(source, target));
  FLYWEIGHT_ASSIGN(std::unique_ptr<AtomicFile> output, AtomicFile::Create(target, options.overwrite));
  FLYWEIGHT_TRY(output->Reserve(archive.file->file_bytes));
  DecodeOptions decode;
  decode.visit = [&](uint64_t offset, ByteSpan chunk, size_t) { return output->WriteAt(offset, chunk); };
  FLYWEIGHT_TRY(Decode(archive, decode, options));
  FLYWEIGHT_TRY(output->Commit(archive.input.mode(), archive.input.modified_ns()));
  return SummaryOf(archive);
}

}  // namespace

Result<DecompressSummary> DecompressFile(const std::string& source, const std::string& target,
                                         const DecompressOptions& options) {
  return Guarded([&] {
    return target == kStreamPath ? DecompressToStream(source, options) : DecompressToFile(source, target, options);
  });
}

}  // namespace flyweight
