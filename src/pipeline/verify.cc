#include "archive/reader.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

Error Damaged(const std::vector<std::string>& parts) {
  std::string list;
  for (const std::string& part : parts) list += (list.empty() ? "" : ", ") + part;
  return {ErrorCode::kCorrupt, 0,
          "the archive is damaged (" + list +
              "), though a second copy of what is damaged is intact: decompress it and compress it anew"};
}

Result<VerifySummary> Verify(const std::string& source, size_t thread_count, const ProgressCallback& callback) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenInput(source, std::string(kStreamPath)));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  VerifySummary summary;
  summary.archive_bytes = reader.archive_bytes();
  for (const IndexFile& file : reader.index().files) summary.file_bytes += file.file_bytes;

  ThreadPool pool(UsefulThreadCount(thread_count, summary.file_bytes));
  ProgressMeter progress(callback, summary.file_bytes);
  progress.SetStage("verify");
  DecodeOptions options;
  options.check_digests = true;
  for (const IndexFile& file : reader.index().files) {
    FLYWEIGHT_ASSIGN(uint64_t chunk_count, DecodeArchiveFile(reader, file, options, pool, progress));
    summary.chunk_count += chunk_count;
  }
  // Said last: damage to the data itself is the worse news.
  if (!reader.damage().empty()) return Damaged(reader.damage());
  FLYWEIGHT_TRY(input.CheckUnchanged());
  return summary;
}

}  // namespace

Result<VerifySummary> VerifyFile(const std::string& source, size_t thread_count, const ProgressCallback& progress) {
  return Guarded([&] { return Verify(source, thread_count, progress); });
}

}  // namespace flyweight
