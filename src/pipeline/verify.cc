#include <algorithm>
#include <cmath>
#include <random>

#include "archive/range_reader.h"
#include "archive/reader.h"
#include "archive/repair.h"
#include "delta/identity.h"
#include "pipeline/base_input.h"
#include "pipeline/decode.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/lossy_compare.h"
#include "pipeline/stored_chunks.h"

namespace flyweight {
namespace {

Error Damaged(const std::vector<std::string>& parts) {
  std::string list;
  for (const std::string& part : parts) list += (list.empty() ? "" : ", ") + part;
  return {ErrorCode::kCorrupt, 0,
          "the archive is damaged (" + list + "), though a second copy of what is damaged is intact: repair it"};
}

Status CheckParityArea(const ByteSource& archive, ThreadPool& pool, VerifySummary& summary) {
  RepairReport report;
  FLYWEIGHT_TRY(CheckParity(archive, pool, report));
  summary.has_parity = report.has_parity;
  if (!report.found_damage()) return Status::Ok();
  return Error{ErrorCode::kCorrupt, 0,
               std::to_string(report.damaged_blocks) + " of " + std::to_string(report.block_count) +
                   " blocks are damaged: repair it"};
}

Status VerifyFast(const ArchiveReader& reader, ThreadPool& pool, ProgressMeter& progress, VerifySummary& summary) {
  FLYWEIGHT_ASSIGN(summary.chunk_count, ScrubStoredChunks(reader, pool, progress));
  summary.checked_count = summary.chunk_count;
  return Status::Ok();
}

/// A choice that depends on seed and number alone. Source: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
uint64_t Mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ (value >> 30U)) * 0xBF58476D1CE4E5B9;
  value = (value ^ (value >> 27U)) * 0x94D049BB133111EB;
  return value ^ (value >> 31U);
}

Status VerifySample(const ArchiveReader& reader, const VerifyOptions& options, ThreadPool& pool,
                    ProgressMeter& progress, VerifySummary& summary) {
  if (!(options.sample_fraction > 0) || options.sample_fraction > 1) {
    return Error{ErrorCode::kInvalidArgument, 0, "the fraction to sample must be over 0 and at most 1"};
  }
  uint64_t seed = options.sample_seed;
  if (seed == 0) seed = std::random_device()() | uint64_t{std::random_device()()} << 32U;
  double limit = std::ldexp(options.sample_fraction, 64);
  auto is_chosen = [&](uint64_t number) { return static_cast<double>(Mix(seed ^ Mix(number))) < limit; };
  std::vector<CodecScratch> scratch(pool.thread_count());
  std::vector<AlignedBuffer> buffers(pool.thread_count());
  std::vector<RangeReader> ranges;
  for (size_t worker = 0; worker < pool.thread_count(); ++worker) {
    ranges.emplace_back(reader).set_stored_check(StoredCheck::kAlways);
  }
  auto decode = [&](const IndexExtent& extent, const OpenRecord& record, uint64_t chunk, size_t worker) {
    auto size = static_cast<size_t>(record.head.ChunkDecodedBytes(chunk));
    buffers[worker].Resize(size);
    MutableByteSpan target(buffers[worker].data(), size);
    if (extent.place == PlaceKind::kPatched) {
      return ranges[worker].Read(extent, chunk * record.head.chunk_bytes, target, scratch[worker]);
    }
    return reader.DecodeChunk(record, chunk, target, scratch[worker], StoredCheck::kAlways);
  };
  StoredChunks chunks(reader);
  FLYWEIGHT_ASSIGN(summary.chunk_count, chunks.Visit(pool, progress, is_chosen, decode, summary.checked_count));
  return Status::Ok();
}

Status VerifyFull(const InputEndpoint& input, const ArchiveReader& reader, ThreadPool& pool, ProgressMeter& progress,
                  VerifySummary& summary) {
  if (input.parts != nullptr) FLYWEIGHT_TRY(input.parts->VerifyParts({}));
  DecodeOptions options;
  options.check_digests = true;
  options.stored_check = StoredCheck::kAlways;
  FLYWEIGHT_ASSIGN(summary.chunk_count, DecodeArchive(reader, AllFiles(reader.index()), options, pool, progress));
  summary.checked_count = summary.chunk_count;
  return CheckParityArea(*input.source, pool, summary);
}

Status VerifyInMode(const InputEndpoint& input, const ArchiveReader& reader, const VerifyOptions& options,
                    ThreadPool& pool, ProgressMeter& progress, VerifySummary& summary) {
  switch (options.mode) {
    case VerifyMode::kFull:
      return VerifyFull(input, reader, pool, progress, summary);
    case VerifyMode::kFast:
      FLYWEIGHT_TRY(VerifyFast(reader, pool, progress, summary));
      return CheckParityArea(*input.source, pool, summary);
    case VerifyMode::kSample:
      return VerifySample(reader, options, pool, progress, summary);
  }
  return Error{ErrorCode::kInvalidArgument, 0, "no such way to verify"};
}

/// What a patch says of its result must be what its index says, as far as that has digests.
Status CheckResultIdentity(const ArchiveReader& reader) {
  std::optional<Digest> identity = IdentityOf(reader.index());
  if (reader.base_table() == nullptr || !identity.has_value()) return Status::Ok();
  if (*identity == reader.base_table()->result_identity) return Status::Ok();
  return Error{ErrorCode::kCorrupt, 0,
               "the identity that the base table gives is not that of the tensors in the index"};
}

Result<VerifySummary> Verify(const std::string& source, const VerifyOptions& options) {
  FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(source, std::string(kStreamPath)));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*input.source));
  if (!options.bases.empty()) FLYWEIGHT_TRY(AttachBase(reader, source, options.bases, RowCheck::kSample));
  VerifySummary summary;
  summary.lacks_base = reader.needs_base() && options.bases.empty();
  summary.archive_bytes = reader.archive_bytes();
  summary.file_count = reader.index().files.size();
  summary.file_bytes = DecodedBytes(reader.index(), AllFiles(reader.index()));
  if (input.parts != nullptr) summary.part_count = input.parts->part_count();

  ThreadPool pool(UsefulThreadCount(options.thread_count, summary.file_bytes));
  ProgressMeter progress(options.progress, summary.file_bytes);
  progress.SetStage("verify");
  VerifyOptions possible = options;
  if (summary.lacks_base) possible.mode = VerifyMode::kFast;
  if (summary.lacks_base && input.parts != nullptr) FLYWEIGHT_TRY(input.parts->VerifyParts({}));
  Status verified = VerifyInMode(input, reader, possible, pool, progress, summary);
  if (!verified.ok()) return ExplainFailure(reader, verified.take_error());
  FLYWEIGHT_TRY(CheckResultIdentity(reader));
  if (reader.is_lossy()) FLYWEIGHT_TRY(CheckLossyRecords(reader));
  // Said last: damage to the data itself is the worse news.
  if (!reader.damage().empty()) return Damaged(reader.damage());
  FLYWEIGHT_TRY(input.CheckUnchanged());
  return summary;
}

}  // namespace

double DetectionProbability(uint64_t chunk_count, uint64_t checked_count, uint64_t damaged_count) {
  damaged_count = std::min(damaged_count, chunk_count);
  if (checked_count == 0 || damaged_count == 0) return 0;
  if (checked_count + damaged_count > chunk_count) return 1;
  double missed = 1;
  for (uint64_t i = 0; i < damaged_count && missed > 0; ++i) {
    missed *= static_cast<double>(chunk_count - checked_count - i) / static_cast<double>(chunk_count - i);
  }
  return 1 - missed;
}

Result<VerifySummary> VerifyFile(const std::string& source, const VerifyOptions& options) {
  return Guarded([&] { return Verify(source, options); });
}

}  // namespace flyweight
