#include "flyweight/scan.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/checked.h"
#include "container/annotate.h"
#include "pipeline/encode.h"
#include "pipeline/endpoint.h"
#include "pipeline/guard.h"
#include "pipeline/progress_meter.h"

namespace flyweight {
namespace {

constexpr uint64_t kSampleMaxBytes = uint64_t{1} << 20;
constexpr uint64_t kPieceCount = 4;
constexpr uint64_t kIndexRowBytes = 100;  // a name and a digest, twice

/// The part of an extent that is encoded to know its ratio.
struct Sample {
  std::vector<std::pair<uint64_t, uint64_t>> pieces;  // offset in the extent, bytes
  Shape shape;
  uint64_t size_bytes = 0;
};

/// Bytes of the smallest unit that a sample is cut into: a row where there are rows, else a block of elements.
uint64_t UnitBytes(const Extent& extent, uint64_t& unit_elements) {
  const DTypeInfo& info = Describe(extent.dtype);
  unit_elements = static_cast<uint64_t>(info.block_elements);
  auto block_bytes = static_cast<uint64_t>(info.block_bytes);
  if (extent.shape.size() < 2) return block_bytes;
  auto row_bytes = TensorBytes(extent.dtype, {extent.shape.back()});
  if (!row_bytes.has_value() || *row_bytes == 0 || *row_bytes > kSampleMaxBytes / kPieceCount) return block_bytes;
  unit_elements = extent.shape.back();
  return *row_bytes;
}

Sample ChooseSample(const Extent& extent) {
  Sample sample;
  if (extent.size_bytes <= kSampleMaxBytes) {
    sample.pieces = {{0, extent.size_bytes}};
    sample.shape = extent.shape;
    sample.size_bytes = extent.size_bytes;
    return sample;
  }
  uint64_t unit_elements = 1;
  uint64_t unit_bytes = UnitBytes(extent, unit_elements);
  uint64_t unit_count = extent.size_bytes / unit_bytes;
  uint64_t piece_units = std::min(kSampleMaxBytes / kPieceCount / unit_bytes, unit_count / kPieceCount);
  for (uint64_t piece = 0; piece < kPieceCount; ++piece) {
    uint64_t first_unit = piece * ((unit_count - piece_units) / (kPieceCount - 1));
    sample.pieces.emplace_back(first_unit * unit_bytes, piece_units * unit_bytes);
    sample.size_bytes += piece_units * unit_bytes;
  }
  bool has_rows = extent.shape.size() >= 2 && unit_elements == extent.shape.back();
  uint64_t units = kPieceCount * piece_units;
  sample.shape = has_rows ? Shape{units, unit_elements} : Shape{units * unit_elements};
  return sample;
}

Result<uint64_t> EncodedBytes(const TensorView& tensor) {
  uint64_t total_bytes = 0;
  FLYWEIGHT_TRY(CompressBuffer(tensor, Level::kBalanced, 1, [&](std::span<const std::byte> piece) {
    total_bytes += piece.size();
    return Status::Ok();
  }));
  return total_bytes;
}

/// What `size_bytes` come to at the rate of a sample.
uint64_t Scaled(uint64_t encoded_bytes, uint64_t sample_bytes, uint64_t size_bytes) {
  if (sample_bytes == 0) return 0;
  double ratio = static_cast<double>(encoded_bytes) / static_cast<double>(sample_bytes);
  return static_cast<uint64_t>(ratio * static_cast<double>(size_bytes));
}

class Scanner {
 public:
  Scanner(const ByteSource& source, uint64_t fixed_bytes) : source_(source), fixed_bytes_(fixed_bytes) {}

  /// Fills in the estimate of one extent; returns the bytes that were read for it.
  Result<uint64_t> Estimate(const Extent& extent, ScannedExtent& scanned) const {
    Sample sample = ChooseSample(extent);
    std::vector<std::byte> bytes(static_cast<size_t>(sample.size_bytes));
    size_t at = 0;
    for (auto [offset, size] : sample.pieces) {
      FLYWEIGHT_TRY(source_.ReadAt(extent.offset + offset, std::span(bytes).subspan(at, static_cast<size_t>(size))));
      at += static_cast<size_t>(size);
    }
    TensorView view{.name = "", .dtype = extent.is_tensor ? extent.dtype : DType::kOpaque, .shape = {}, .bytes = bytes};
    if (extent.is_tensor && extent.dtype != DType::kOpaque) view.shape = sample.shape;
    FLYWEIGHT_ASSIGN(uint64_t encoded_bytes, EncodedBytes(view));
    encoded_bytes -= std::min(encoded_bytes, fixed_bytes_);
    scanned.estimated_bytes = Scaled(encoded_bytes, sample.size_bytes, extent.size_bytes);
    return sample.size_bytes;
  }

 private:
  const ByteSource& source_;
  uint64_t fixed_bytes_;  // of an archive with nothing in it
};

ScannedExtent ScannedOf(const Extent& extent) {
  ScannedExtent scanned;
  scanned.name = extent.name;
  scanned.dtype = extent.dtype;
  scanned.shape = extent.shape;
  scanned.is_tensor = extent.is_tensor;
  scanned.size_bytes = extent.size_bytes;
  return scanned;
}

Result<ScanReport> Scan(const std::string& path, const ScanOptions& options) {
  FLYWEIGHT_ASSIGN(std::unique_ptr<FileSource> file, FileSource::Open(path));
  FLYWEIGHT_ASSIGN(FileMap map, Annotate(*file));
  FLYWEIGHT_ASSIGN(uint64_t fixed_bytes, EncodedBytes({}));
  ScanReport report;
  report.container_format = std::string(ContainerFormatName(map.format));
  report.file_bytes = file->size();
  report.estimated_bytes = fixed_bytes;
  report.extents.reserve(map.extents.size());
  for (const Extent& extent : map.extents) report.extents.push_back(ScannedOf(extent));

  ThreadPool pool(UsefulThreadCount(options.thread_count, file->size()));
  ProgressMeter progress(options.progress, file->size());
  progress.SetStage("scan");
  Scanner scanner(*file, fixed_bytes);
  constexpr size_t kBatch = 256;  // between two reports of progress
  std::vector<uint64_t> sampled_bytes(map.extents.size());
  for (size_t first = 0; first < map.extents.size(); first += kBatch) {
    size_t count = std::min(kBatch, map.extents.size() - first);
    FLYWEIGHT_TRY(pool.ParallelFor(count, [&](size_t job, size_t) -> Status {
      FLYWEIGHT_ASSIGN(sampled_bytes[first + job],
                       scanner.Estimate(map.extents[first + job], report.extents[first + job]));
      return Status::Ok();
    }));
    for (size_t i = first; i < first + count; ++i) {
      report.estimated_bytes += report.extents[i].estimated_bytes + kIndexRowBytes;
      report.sampled_bytes += sampled_bytes[i];
      progress.Add(map.extents[i].size_bytes);
    }
    progress.Report();
  }
  FLYWEIGHT_TRY(file->CheckUnchanged());
  return report;
}

}  // namespace

Result<ScanReport> ScanFile(const std::string& path, const ScanOptions& options) {
  return Guarded([&] { return Scan(path, options); });
}

}  // namespace flyweight
