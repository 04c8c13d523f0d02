#include "pipeline/bench_sample.h"

#include <algorithm>

namespace flyweight {
namespace {

constexpr uint64_t kPieceMinBytes = uint64_t{2} << 20;

/// A part of an extent.
struct Piece {
  uint64_t begin = 0;  ///< in the extent
  uint64_t size_bytes = 0;
  Shape shape;
};

/// The middle of an extent, about `wanted_bytes` of it: whole slices along its first dimensions, as few of these as are
/// fine enough.
Piece MiddleOf(const Extent& extent, uint64_t wanted_bytes) {
  if (wanted_bytes >= extent.size_bytes) return {0, extent.size_bytes, extent.shape};
  uint64_t slice_bytes = 1;
  Shape slice;  // of which there are some
  for (size_t first = 1; extent.is_tensor && first <= extent.shape.size(); ++first) {
    slice.assign(extent.shape.begin() + static_cast<ptrdiff_t>(first), extent.shape.end());
    slice_bytes = TensorBytes(extent.dtype, slice).value_or(0);
    if (slice_bytes != 0 && slice_bytes <= wanted_bytes) break;
  }
  slice_bytes = std::max<uint64_t>(slice_bytes, 1);
  uint64_t slice_count = extent.size_bytes / slice_bytes;
  uint64_t count = std::clamp<uint64_t>(wanted_bytes / slice_bytes, 1, slice_count);
  Piece piece{(slice_count - count) / 2 * slice_bytes, count * slice_bytes, {}};
  if (extent.is_tensor && extent.dtype != DType::kOpaque) {
    piece.shape.push_back(count);
    piece.shape.insert(piece.shape.end(), slice.begin(), slice.end());
  }
  return piece;
}

Extent ExtentFor(const Extent& extent, const Piece& piece, uint64_t offset) {
  Extent taken = extent;
  taken.offset = offset;
  taken.size_bytes = piece.size_bytes;
  taken.shape = piece.shape;
  // Blocks cut anywhere are bytes.
  bool fits = TensorBytes(taken.dtype, taken.shape) == piece.size_bytes;
  if (taken.is_tensor && !fits) {
    taken.dtype = DType::kOpaque;
    taken.shape = {piece.size_bytes};
  }
  return taken;
}

}  // namespace

Result<BenchSample> TakeBenchSample(const ByteSource& source, const FileMap& map, uint64_t wanted_bytes) {
  BenchSample sample;
  sample.map.format = map.format;
  uint64_t file_bytes = source.size();
  bool takes_all = file_bytes <= wanted_bytes;
  double part = takes_all ? 1.0 : static_cast<double>(wanted_bytes) / static_cast<double>(file_bytes);
  double owed_bytes = 0;
  std::vector<uint64_t> from;
  for (const Extent& extent : map.extents) {
    owed_bytes += part * static_cast<double>(extent.size_bytes);
    uint64_t worthwhile = takes_all ? 0 : std::min(extent.size_bytes, kPieceMinBytes);
    if (owed_bytes < static_cast<double>(worthwhile) || extent.size_bytes == 0) continue;
    Piece piece = MiddleOf(extent, takes_all ? extent.size_bytes : static_cast<uint64_t>(owed_bytes));
    owed_bytes -= static_cast<double>(piece.size_bytes);
    sample.map.extents.push_back(ExtentFor(extent, piece, sample.size_bytes));
    from.push_back(extent.offset + piece.begin);
    sample.size_bytes += piece.size_bytes;
  }
  sample.bytes.Resize(static_cast<size_t>(sample.size_bytes));
  MutableByteSpan target(sample.bytes.data(), static_cast<size_t>(sample.size_bytes));
  for (size_t i = 0; i < from.size(); ++i) {
    const Extent& extent = sample.map.extents[i];
    auto size = static_cast<size_t>(extent.size_bytes);
    FLYWEIGHT_TRY(source.ReadAt(from[i], target.subspan(static_cast<size_t>(extent.offset), size)));
  }
  return sample;
}

}  // namespace flyweight
