#include "flyweight/extract.h"

#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "base/checked.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/input_guard.h"
#include "pipeline/progress_meter.h"

namespace flyweight {
namespace {

constexpr uint64_t kPieceMaxBytes = uint64_t{16} << 20;
// Chunks hold this many elements, so that pieces of so many decode no chunk twice.
constexpr uint64_t kChunkElements = uint64_t{1} << 18;

Result<uint64_t> OutputBytes(const ArchiveListing& listing, std::span<const size_t> extents, uint64_t prefix_bytes,
                             uint64_t max_output_bytes) {
  uint64_t total_bytes = prefix_bytes;
  for (size_t number : extents) {
    if (number >= listing.extents.size()) {
      return Error{ErrorCode::kInvalidArgument, 0, "the archive has no extent " + std::to_string(number)};
    }
    std::optional<uint64_t> sum = CheckedAdd(total_bytes, listing.extents[number].decoded_bytes);
    if (!sum.has_value() || *sum > max_output_bytes) {
      return Error{ErrorCode::kLimitExceeded, 0,
                   "it would give more than the limit of " + std::to_string(max_output_bytes) + " bytes"};
    }
    total_bytes = *sum;
  }
  return total_bytes;
}

/// Bytes that are decoded at a time: whole chunks.
uint64_t PieceBytes(const ListedTensor& extent) {
  const DTypeInfo& info = Describe(extent.dtype);
  uint64_t chunk_bytes =
      kChunkElements / static_cast<uint64_t>(info.block_elements) * static_cast<uint64_t>(info.block_bytes);
  if (chunk_bytes == 0 || chunk_bytes > kPieceMaxBytes) return kPieceMaxBytes;
  return kPieceMaxBytes / chunk_bytes * chunk_bytes;
}

Status AppendExtents(const Archive& archive, std::span<const size_t> extents, size_t thread_count, ByteSink& sink,
                     ProgressMeter& progress) {
  std::vector<std::byte> piece;
  for (size_t number : extents) {
    const ListedTensor& extent = archive.listing().extents[number];
    uint64_t piece_bytes = PieceBytes(extent);
    for (uint64_t begin = 0; begin < extent.decoded_bytes; begin += piece.size()) {
      piece.resize(static_cast<size_t>(std::min(piece_bytes, extent.decoded_bytes - begin)));
      FLYWEIGHT_TRY(archive.DecodeExtent(number, begin, piece, thread_count));
      FLYWEIGHT_TRY(sink.Append(piece));
      progress.Add(piece.size());
      progress.Report();
    }
  }
  return Status::Ok();
}

Result<uint64_t> Extract(const Archive& archive, std::span<const size_t> extents, std::span<const std::byte> prefix,
                         const std::string& target, const ExtractOptions& options) {
  FLYWEIGHT_ASSIGN(uint64_t total_bytes,
                   OutputBytes(archive.listing(), extents, prefix.size(), options.max_output_bytes));
  FLYWEIGHT_TRY(InputGuard(archive.paths()).Check(target));
  ProgressMeter progress(options.progress, total_bytes - prefix.size());
  progress.SetStage("extract");
  if (target == kStreamPath) {
    DescriptorSink sink(STDOUT_FILENO, "standard output");
    FLYWEIGHT_TRY(sink.Append(prefix));
    FLYWEIGHT_TRY(AppendExtents(archive, extents, options.thread_count, sink, progress));
    return total_bytes;
  }
  FLYWEIGHT_ASSIGN(std::unique_ptr<AtomicFile> output, AtomicFile::Create(target, options.overwrite));
  FLYWEIGHT_TRY(output->Append(prefix));
  FLYWEIGHT_TRY(AppendExtents(archive, extents, options.thread_count, *output, progress));
  FLYWEIGHT_TRY(output->Sync());
  // A new file like any other: the archive's own mode and time say nothing about it.
  InputEndpoint fresh;
  FLYWEIGHT_TRY(output->Commit(fresh.mode(), fresh.modified_ns()));
  return total_bytes;
}

}  // namespace

Result<uint64_t> ExtractExtents(const Archive& archive, std::span<const size_t> extents,
                                std::span<const std::byte> prefix, const std::string& target,
                                const ExtractOptions& options) {
  return Guarded([&] { return Extract(archive, extents, prefix, target, options); });
}

}  // namespace flyweight
